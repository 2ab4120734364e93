"""The order of the comparison, and the sentence on who is best."""

from __future__ import annotations

import pytest

from hscl_fast.evaluation.baselines.baseline import Baseline, not_run
from hscl_fast.evaluation.standings import lead, standings, verdict


def result(auroc: float | None) -> Baseline:
    return Baseline(auroc, auroc, 1.0, "9 images", "")


@pytest.mark.parametrize(
    ("ours", "sentence"),
    [
        (0.912, "Best: kNN (k = 5) on encoder features, 3.8 points of pooled AUROC above this run."),
        (0.99, "Best: this run, 4.0 points of pooled AUROC above kNN (k = 5) on encoder features."),
        (
            0.9501,
            "Best: this run and kNN (k = 5) on encoder features, within 0.05 points of each other in pooled AUROC.",
        ),
    ],
)
def test_the_best_is_named_first(ours: float, sentence: str) -> None:
    others = {"one_class_svm": result(0.9), "features_knn": result(0.95), "isolation_forest": not_run("nothing", "")}
    ordered = standings(result(ours), others)
    assert verdict(ordered) == sentence
    aurocs = [entry.result.auroc for entry in ordered]
    assert aurocs == [*sorted((ours, 0.9, 0.95), reverse=True), None]


@pytest.mark.parametrize(("ours", "other"), [(None, 0.9), (0.9, None)])
def test_nothing_is_said_without_a_figure(ours: float | None, other: float | None) -> None:
    assert verdict(standings(result(ours), {"one_class_svm": result(other)})) is None
    assert verdict(standings(result(ours), {})) is None


@pytest.mark.parametrize(
    ("ours", "sentence"),
    [
        (0.9, "Best: this run, 10.0 points of pooled AUROC above One-class SVM on pixels (95 % interval 8.0 to 12.0)."),
        (0.7, "Best: One-class SVM on pixels, 10.0 points of pooled AUROC above this run (95 % interval 8.0 to 12.0)."),
    ],
)
def test_the_interval_is_that_of_the_difference(ours: float, sentence: str) -> None:
    other = Baseline(0.8, 0.8, 1.0, "9 images", "", deviation=0.01 / 0.98)
    ordered = standings(result(ours), {"one_class_svm": other})
    assert verdict(ordered) == sentence
    found = lead(ordered)
    assert found is not None
    assert found.interval == pytest.approx((100 * (ours - 0.8) - 2, 100 * (ours - 0.8) + 2), abs=0.01)
