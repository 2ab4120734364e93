"""What counts as a difference between an export and its run, and what as none."""

import numpy as np
import pytest

from hscl_fast.errors import UsageError
from hscl_fast.export.parity import compare, require_equal

OURS = np.array([-0.5, -0.1, 0.2, 0.7])


def parity(theirs, threshold=0.0, ours=OURS):
    theirs = np.asarray(theirs, np.float32)
    return compare(ours, theirs, theirs > np.float32(threshold), threshold)


def test_rounding_is_no_difference():
    found = parity(OURS)
    assert found.difference < 1e-7
    assert (found.images, found.unit, found.flipped) == (4, 1.0, 0)
    require_equal(found)


@pytest.mark.parametrize("wrong", [0.2002, np.nan, np.inf])
def test_one_wrong_score_is_refused(wrong):
    found = parity([-0.5, -0.1, wrong, 0.7])
    assert not found.difference <= 1e-4
    with pytest.raises(
        UsageError, match=r"no file is written: scores of 4 images differ by up to (2\.0e-04|inf), where"
    ):
        require_equal(found)


def test_a_decision_that_flips_is_refused_although_its_score_is_near():
    found = parity([-0.5, -0.1, 0.2 - 5e-5, 0.7], threshold=0.2 - 2e-5)
    assert found.difference <= 1e-4
    with pytest.raises(UsageError, match="and 1 of their decisions"):
        require_equal(found)


def test_an_image_on_the_threshold_may_fall_on_either_side():
    found = parity([-0.5, -0.1, 0.2 + 1e-7, 0.7], threshold=0.2)
    assert (found.flipped, found.undecided) == (1, 1)
    require_equal(found)


def test_large_scores_are_compared_in_units_of_their_spread():
    ours = 1000 * OURS
    near, far = ours + 0.02, ours + 0.2
    assert parity(near, ours=ours).difference == pytest.approx(0.02 / ours.std(), rel=1e-2)
    require_equal(parity(near, ours=ours))
    with pytest.raises(UsageError, match="of the scores' standard deviation of 438"):
        require_equal(parity(far, ours=ours))
