"""The order of the comparison, and the sentence on who is best."""

from __future__ import annotations

import pytest

from hscl_fast.evaluation.baselines.baseline import Baseline, not_run
from hscl_fast.evaluation.standings import standings, verdict


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
