"""Metrics against their definitions, counted by hand."""

import json
from dataclasses import asdict

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hscl_fast.errors import UsageError
from hscl_fast.evaluation.decisions import decide
from hscl_fast.evaluation.metrics import Aupr, auroc, auroc_interval, detection_metrics
from hscl_fast.evaluation.threshold import fit_threshold

NAMES = ["normal", "scratch", "dent", "stain"]
FINITE = st.floats(-1e6, 1e6, width=32)
# Few distinct values, so that ties abound.
SCORES = st.one_of(FINITE, st.integers(-2, 2).map(float))
# No deadline: the machine may be busy with other work.
QUICK = settings(max_examples=50, deadline=None)


@st.composite
def samples(draw: st.DrawFn, both: bool = True) -> tuple[np.ndarray, np.ndarray]:
    """Return scores and flags, with at least one image on either side where both are asked for."""
    pairs = draw(st.lists(st.tuples(SCORES, st.booleans()), min_size=1, max_size=24))
    if both:
        pairs += [(draw(SCORES), False), (draw(SCORES), True)]
    return np.array([score for score, _ in pairs]), np.array([flag for _, flag in pairs])


def count_pairs(scores: np.ndarray, abnormal: np.ndarray) -> float:
    normals, anomalies = scores[~abnormal], scores[abnormal]
    won = (normals[:, None] > anomalies).sum() + 0.5 * (normals[:, None] == anomalies).sum()
    return won / (len(normals) * len(anomalies))


def balanced_accuracy(scores: np.ndarray, abnormal: np.ndarray, threshold: float) -> float:
    accepted = scores <= threshold
    return (accepted[~abnormal].mean() + 1 - accepted[abnormal].mean()) / 2


@QUICK
@given(samples())
def test_auroc_counts_pairs(sample: tuple[np.ndarray, np.ndarray]) -> None:
    assert auroc(*sample) == pytest.approx(count_pairs(*sample), abs=1e-9)


@QUICK
@given(samples())
def test_auroc_of_reversed_scores_is_the_complement(sample: tuple[np.ndarray, np.ndarray]) -> None:
    scores, abnormal = sample
    assert auroc(-scores, abnormal) == pytest.approx(1 - auroc(scores, abnormal))


@QUICK
@given(samples(), st.randoms(use_true_random=False))
def test_the_order_of_the_images_does_not_matter(sample: tuple[np.ndarray, np.ndarray], random) -> None:
    scores, abnormal = sample
    classes = np.where(abnormal, 1 + np.arange(len(scores)) % 3, 0)
    order = np.array(random.sample(range(len(scores)), len(scores)))
    one = detection_metrics(scores, abnormal, classes, NAMES, 0)
    other = detection_metrics(scores[order], abnormal[order], classes[order], NAMES, 0)
    assert one.auroc_per_class == pytest.approx(other.auroc_per_class)
    assert asdict(one.aupr) == pytest.approx(asdict(other.aupr))
    assert [getattr(one, k) for k in ("auroc", "auroc_mean", "fpr95")] == pytest.approx(
        [getattr(other, k) for k in ("auroc", "auroc_mean", "fpr95")]
    )
    assert fit_threshold(scores, abnormal) == fit_threshold(scores[order], abnormal[order])


def test_all_tied_is_chance() -> None:
    abnormal = np.array([True, False, True, False, False])
    figures = detection_metrics(np.zeros(5), abnormal, abnormal.astype(int), NAMES, 0)
    assert figures.auroc == figures.auroc_mean == 0.5
    assert figures.fpr95 == 1.0
    assert asdict(figures.aupr) == pytest.approx({"abnormal": 0.4, "normal": 0.6})


def test_the_mean_weighs_classes_and_the_pooled_figure_weighs_images() -> None:
    # One dent below every normal, three scratches above every normal.
    scores = np.array([1.0, 2.0, 0.0, 3.0, 4.0, 5.0])
    classes = np.array([0, 0, 2, 1, 1, 1])
    figures = detection_metrics(scores, classes != 0, classes, NAMES, 0)
    assert figures.auroc_per_class == {"scratch": 0.0, "dent": 1.0}
    assert figures.auroc_mean == 0.5
    assert figures.auroc == 0.25


@QUICK
@given(samples())
def test_fpr95_is_the_smallest_share_of_anomalies_that_accepting_95_percent_of_normals_lets_in(
    sample: tuple[np.ndarray, np.ndarray],
) -> None:
    scores, abnormal = sample
    normals, anomalies = scores[~abnormal], scores[abnormal]
    shares = [(anomalies >= t).mean() for t in np.unique(scores) if (normals >= t).mean() >= 0.95]
    figures = detection_metrics(scores, abnormal, abnormal.astype(int), NAMES, 0)
    assert figures.fpr95 == pytest.approx(min(shares))


def test_fpr95_reads_the_curve_at_95_percent_and_not_beyond() -> None:
    # 19 of 20 normals lie above the anomaly.
    scores = np.concatenate([np.arange(20.0), [0.5]])
    abnormal = np.arange(21) == 20
    assert detection_metrics(scores, abnormal, abnormal.astype(int), NAMES, 0).fpr95 == 0.0
    # A straight curve: without its collinear points, the first one at 95 % would be the last.
    scores, abnormal = np.repeat(np.arange(20.0), 2), np.arange(40) % 2 == 1
    assert detection_metrics(scores, abnormal, abnormal.astype(int), NAMES, 0).fpr95 == 0.95


@pytest.mark.parametrize("flags", [[False, False], [True, True], []])
def test_a_missing_side_gives_none_and_valid_json(flags: list[bool]) -> None:
    abnormal = np.array(flags, dtype=bool)
    figures = detection_metrics(np.arange(len(flags)), abnormal, abnormal.astype(np.int64), NAMES, 0)
    assert figures.auroc is figures.auroc_mean is figures.fpr95 is None
    assert figures.aupr == Aupr(None, None)
    assert set(figures.auroc_per_class) == ({"scratch"} if any(flags) else set())
    json.dumps(asdict(figures), allow_nan=False)
    json.dumps(asdict(decide(np.arange(len(flags)), abnormal, 0.5)), allow_nan=False)


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_scores_that_are_not_finite_are_refused(bad: float) -> None:
    scores, abnormal = np.array([0.0, bad, 1.0]), np.array([True, False, False])
    with pytest.raises(UsageError, match=r"1 of 3 scores are not finite .* of image 1"):
        detection_metrics(scores, abnormal, abnormal.astype(int), NAMES, 0)
    with pytest.raises(UsageError, match="not finite"):
        fit_threshold(scores, abnormal)
    with pytest.raises(UsageError, match="threshold is"):
        decide(scores[:1], abnormal[:1], bad)


@pytest.mark.parametrize(
    ("classes", "names", "normal_class", "message"),
    [
        ([0, 1, 4], NAMES, 0, "run from 0 to 4"),
        ([0, -1, 1], NAMES, 0, "run from -1 to 1"),
        ([0, 1, 2], NAMES, 1, "'scratch'.* is the normal class"),
        ([0, 1, 2], ["ok", "dent", "dent"], 0, "share a name"),
        ([0, 1], NAMES, 0, "classes have shape"),
    ],
)
def test_contradictions_are_refused(classes: list[int], names: list[str], normal_class: int, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        detection_metrics(np.arange(3.0), np.array([False, True, True]), classes, names, normal_class)


def test_shapes_that_differ_are_refused() -> None:
    with pytest.raises(UsageError, match=r"scores have shape \(3,\)"):
        auroc(np.zeros(3), np.zeros(2, bool))


@QUICK
@given(samples(), st.sampled_from([np.float32, np.float64]))
def test_no_threshold_has_a_better_balanced_accuracy(sample: tuple[np.ndarray, np.ndarray], dtype: type) -> None:
    scores, abnormal = sample[0].astype(dtype), sample[1]
    threshold = fit_threshold(scores, abnormal)
    best = max(balanced_accuracy(scores, abnormal, t) for t in [-np.inf, *np.unique(scores)])
    assert balanced_accuracy(scores, abnormal, threshold) == pytest.approx(best)
    # The same decisions in the type of the scores and in float64.
    assert np.array_equal(scores > threshold, scores.astype(np.float64) > threshold)


def test_the_threshold_lies_midway_and_ties_go_to_the_middle_one() -> None:
    assert fit_threshold([1.0, 2.0, 4.0, 5.0], [False, False, True, True]) == 3.0
    # Balanced accuracy is 5/6 at 1.5, at 3.5 and at 5.5.
    scores = [1.0, 2.0, 3.0, 4.0, 5.0, 6.0]
    assert fit_threshold(scores, [False, True, False, True, False, True]) == 3.5


def test_neighbouring_floats_are_distinguished() -> None:
    low = np.float32(1)
    scores = np.array([low, np.nextafter(low, np.float32(2))])
    assert np.array_equal(scores > fit_threshold(scores, [False, True]), [False, True])


def test_constant_scores_accept_everything() -> None:
    assert fit_threshold([2.0, 2.0, 2.0], [True, False, False]) == 2.0


def test_one_side_alone_is_fitted_by_its_quantile() -> None:
    scores = np.arange(101.0)
    assert fit_threshold(scores, np.zeros(101, bool)) == 95.0
    assert fit_threshold(scores, np.ones(101, bool)) == 5.0
    with pytest.raises(ValueError, match="there are none"):
        fit_threshold([], [])


def test_decisions_are_counted_with_anomalies_as_positives() -> None:
    scores = np.array([0.0, 1.0, 2.0, 3.0, 4.0])
    figures = decide(scores, np.array([False, False, True, False, True]), 2.0)
    assert asdict(figures) == {
        "threshold": 2.0,
        "true_positives": 1,
        "false_positives": 1,
        "true_negatives": 2,
        "false_negatives": 1,
        "accuracy": pytest.approx(3 / 5),
        "balanced_accuracy": pytest.approx((1 / 2 + 2 / 3) / 2),
        "recall_abnormal": 0.5,
        "precision_abnormal": 0.5,
        "false_alarm_rate": pytest.approx(1 / 3),
    }


def test_the_interval_of_the_auroc_covers_the_truth_95_times_in_100() -> None:
    rng = np.random.default_rng(0)
    abnormal = np.arange(120) >= 60
    truth, covered = 0.7602, []  # of two normal distributions one deviation apart
    for _ in range(400):
        low, high = auroc_interval(rng.normal(size=120) - abnormal, abnormal)
        covered.append(low <= truth <= high)
    assert 0.92 < np.mean(covered) < 0.98


def test_the_interval_needs_two_of_each_side_and_is_symmetric() -> None:
    assert auroc_interval([1.0, 2.0, 3.0], [False, True, True]) is None
    rng = np.random.default_rng(1)
    scores, abnormal = rng.normal(size=50), np.arange(50) < 20
    low, high = auroc_interval(scores, abnormal)
    assert auroc_interval(-scores, abnormal) == pytest.approx((1 - high, 1 - low))
    assert auroc_interval(np.zeros(50), abnormal) == (0.5, 0.5)
