"""Means, intervals and paired differences, against answers from elsewhere."""

import pytest

from benchmarks.accuracy.statistics import may_change_default, paired_difference
from hscl_fast.many_runs.means import Mean, mean_of

T_2 = 4.302652729749464  # Student's t with 2 degrees of freedom at 0.975, from a table
T_4 = 2.7764451051977987


def test_mean_and_interval_have_known_values():
    found = mean_of([1.0, 2.0, 3.0])
    assert found.value == 2.0
    assert found.half_width == pytest.approx(T_2 * 1.0 / 3**0.5, rel=1e-9)  # the standard deviation is 1
    assert found.n == 3


def test_a_single_value_has_no_interval():
    assert mean_of([0.7]) == Mean(0.7, None, 1)
    assert mean_of([0.7]).sign == 0


@pytest.mark.parametrize(
    ("values", "sign"), [([1.0, 1.1, 1.2], 1), ([-1.0, -1.1, -1.2], -1), ([-1.0, 0.5, 1.0], 0), ([0.0, 0.0], 0)]
)
def test_the_sign_is_that_of_the_whole_interval(values, sign):
    assert mean_of(values).sign == sign


def test_pairs_leave_out_what_they_have_in_common():
    """The runs vary by 40 points, their differences by 1: an unpaired interval would be wider than the values."""
    reference = {(0, 0): 50.0, (3, 0): 70.0, (5, 0): 90.0, (0, 1): 55.0, (3, 1): 75.0, (8, 9): 1.0}
    gains = [1.0, 1.5, 2.0, 2.5, 3.0]
    ours = {key: value + gain for (key, value), gain in zip(reference.items(), gains, strict=False)} | {(7, 7): 99.0}
    found = paired_difference(ours, reference)
    assert found.value == pytest.approx(2.0)
    assert found.n == 5  # the keys that only one of them has are left out
    assert found.half_width == pytest.approx(T_4 * 0.625**0.5 / 5**0.5, rel=1e-6)
    assert found.sign == 1


def test_no_common_key_is_no_difference():
    assert paired_difference({0: 1.0}, {1: 1.0}) is None


@pytest.mark.parametrize(
    ("pairs", "enough"),
    [({"a": 5, "b": 5}, True), ({"a": 5, "b": 4}, False), ({"a": 50}, False), ({"a": 9, "b": 6, "c": 1}, True)],
)
def test_a_default_needs_five_pairs_on_two_data_sets(pairs, enough):
    assert may_change_default(pairs) is enough
