"""Thresholds by a bound on false alarms, by hand and by balanced accuracy, against their definitions; intervals."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hscl_fast.config.sections import EvaluateConfig
from hscl_fast.errors import UsageError
from hscl_fast.evaluation.bootstrap import flagged_interval
from hscl_fast.evaluation.fitted_threshold import ThresholdScores
from hscl_fast.evaluation.threshold import choose_threshold, fit_threshold, require_fittable, share_intervals

QUICK = settings(max_examples=50, deadline=None)
ROWS = st.lists(st.integers(-3, 3).map(float) | st.floats(-1e3, 1e3), max_size=30)


def scores(held_out=(), abnormal=(), unlabelled=(), training=()) -> ThresholdScores:
    rows = (np.array(row, np.float64) for row in (held_out, unlabelled, training))
    first, second, third = rows
    return ThresholdScores(first, np.array(abnormal, bool), second, third)


@QUICK
@given(ROWS, ROWS, st.floats(0.01, 0.9), st.floats(0, 0.9))
def test_the_bound_on_false_alarms_is_the_lowest_that_keeps_it(normals, unlabelled, share, contamination) -> None:
    if not normals + unlabelled:
        return
    rule = EvaluateConfig(max_false_alarms=share, contamination=contamination)
    found = choose_threshold(rule, scores(normals, [False] * len(normals), unlabelled)).value
    kept = sorted(unlabelled)[: len(unlabelled) - int(contamination * len(unlabelled) + 1e-9)]
    pool = np.array([*normals, *kept])
    allowed = int(share * len(pool) + 1e-9)
    assert (pool > found).sum() <= allowed
    assert found in pool
    assert (pool >= found).sum() > allowed  # a lower one would call more of them abnormal


def test_the_suspected_are_taken_off_the_top_and_held_out_anomalies_have_no_part() -> None:
    unlabelled = [*range(90), *range(1000, 1010)]
    given = scores([5.0] * 10 + [1e6], [False] * 10 + [True], unlabelled)
    found = choose_threshold(EvaluateConfig(max_false_alarms=0.02, contamination=0.1), given)
    assert found.value == 87.0  # 100 normals, and two of them above: 88 and 89
    assert found.source == (
        "at most 2 % false alarms among 10 held-out normals and 100 unlabelled images, 10 of these taken for anomalies"
    )
    assert found.interval is not None
    assert found.interval[0] <= 87.0 <= found.interval[1] < 1000
    trusting = choose_threshold(EvaluateConfig(max_false_alarms=0.02, contamination=0.0), given)
    assert trusting.value == 1007.0


def test_by_hand_and_by_default() -> None:
    given = scores([0.0, 1.0, 2.0, 3.0], [False, False, True, True])
    by_hand = choose_threshold(EvaluateConfig(threshold=-2.5), given)
    assert (by_hand.value, by_hand.source, by_hand.interval, by_hand.caution) == (-2.5, "set by hand", None, None)
    fitted = choose_threshold(EvaluateConfig(), given)
    assert (fitted.value, fitted.source) == (1.5, "4 held-out labelled images")
    none = choose_threshold(EvaluateConfig(), scores(training=range(100)))
    assert none.value == 94.0
    assert "no labelled images were held out" in none.source


@pytest.mark.parametrize(("held_out", "words"), [(0, "no labelled images held out"), (1, "only 1 labelled"), (9, "9")])
def test_few_held_out_images_are_cautioned_of(held_out: int, words: str) -> None:
    given = scores(range(held_out), [False] * held_out, range(20), range(20))
    for rule in (EvaluateConfig(), EvaluateConfig(max_false_alarms=0.1)):
        caution = choose_threshold(rule, given).caution
        assert caution is not None
        assert words in caution
    enough = scores(range(10), [False] * 10, range(20))
    assert choose_threshold(EvaluateConfig(), enough).caution is None


def test_the_interval_is_the_same_each_time_narrows_with_images_and_needs_two_of_a_label() -> None:
    rng = np.random.default_rng(0)
    values, flags = rng.normal(size=400), np.arange(400) % 2 == 0
    values += 2 * flags

    def width(images: int) -> float:
        found = choose_threshold(EvaluateConfig(), scores(values[:images], flags[:images]))
        again = choose_threshold(EvaluateConfig(), scores(values[:images], flags[:images]))
        assert found.interval == again.interval
        assert found.interval is not None
        assert found.interval[0] <= fit_threshold(values[:images], flags[:images]) <= found.interval[1]
        return found.interval[1] - found.interval[0]

    assert width(400) < width(20)
    assert choose_threshold(EvaluateConfig(), scores([0.0, 1.0], [False, True])).interval is None


def test_the_interval_of_a_share_covers_the_truth_and_three_of_three_are_not_certain() -> None:
    rng = np.random.default_rng(1)
    covered = []
    for _ in range(300):
        low, high = flagged_interval(rng.uniform(size=40), np.full(1000, 0.3))
        covered.append(low <= 0.7 <= high)
    assert 0.91 < np.mean(covered) < 0.99
    low, high = flagged_interval(np.ones(3), np.full(1000, 0.0))
    assert 0.3 < low < 0.6
    assert high > 0.99


def test_an_uncertain_threshold_widens_the_interval_of_recall() -> None:
    rng = np.random.default_rng(2)
    tested, abnormal = rng.normal(size=400), np.ones(400, bool)
    few = choose_threshold(EvaluateConfig(), scores([-1.0, 0.0, 1.0, 2.0], [False, True, False, True]))
    by_hand = choose_threshold(EvaluateConfig(threshold=few.value), scores())
    wide, narrow = (share_intervals(tested, abnormal, fitted).recall_abnormal for fitted in (few, by_hand))
    assert wide is not None
    assert narrow is not None
    assert wide[1] - wide[0] > 2 * (narrow[1] - narrow[0])
    assert share_intervals(tested, abnormal, few).false_alarm_rate is None


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"threshold": float("nan")}, "evaluate.threshold is nan, but must be a finite anomaly score"),
        ({"max_false_alarms": 0.0}, "max_false_alarms is 0.0, but must be a share"),
        ({"max_false_alarms": 1.0}, "max_false_alarms is 1.0, but must be a share"),
        ({"contamination": 1.0}, "contamination is 1.0, but must be a share"),
        ({"threshold": 1.0, "max_false_alarms": 0.1}, "only one of them can set the threshold"),
    ],
)
def test_wrong_values_are_refused(values: dict[str, float], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        EvaluateConfig(**values)


def test_a_bound_needs_images() -> None:
    with pytest.raises(UsageError, match="there are none of either"):
        require_fittable(EvaluateConfig(max_false_alarms=0.1), 0, 0)
    require_fittable(EvaluateConfig(max_false_alarms=0.1), 0, 1)
    require_fittable(EvaluateConfig(), 0, 0)
