"""A decision threshold, and the scores that it is fitted to."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from hscl_fast.evaluation.bootstrap import DRAWS, Interval


@dataclass(frozen=True, eq=False)
class ThresholdScores:
    """The anomaly scores that thresholds are fitted to; none of them is of a test image.

    Attributes
    ----------
    held_out : float64 [h]
        Of the held-out labelled images.
    held_out_abnormal : bool [h]
        Which of these are anomalies.
    unlabelled : float64 [u]
        Of the unlabelled training images, each from what was learned without it.
    training : float64 [n]
        Of the training images that are not labelled anomalies; needed only where no labelled image is held out.
    """

    held_out: npt.NDArray[np.float64]
    held_out_abnormal: npt.NDArray[np.bool_]
    unlabelled: npt.NDArray[np.float64]
    training: npt.NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class FittedThreshold:
    """A decision threshold.

    Attributes
    ----------
    value
        Images with a higher anomaly score are abnormal.
    source
        What it was fitted on, in words.
    interval
        Where 95 % of the thresholds of resampled images lie; None if it was set by hand, or
        fitted to a single image of a label.
    caution
        Why to be careful with it, in words; None if there is no reason.
    resampled : float64 [B]
        The thresholds of resampled images; a single one if it was set by hand.
    """

    value: float
    source: str
    interval: Interval | None
    caution: str | None
    resampled: npt.NDArray[np.float64]


def by_hand(value: float) -> FittedThreshold:
    """Return a threshold that was fitted to nothing."""
    return FittedThreshold(value, "set by hand", None, None, np.full(DRAWS, value))
