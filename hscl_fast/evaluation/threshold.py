"""Fits the decision threshold on held-out images, never on test labels, and evaluates its decisions."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from hscl_fast.errors import UsageError
from hscl_fast.evaluation.metrics import Flags, Scores, checked_scores, has_both_sides


def _best_threshold(values: Scores, flags: Flags) -> float:
    levels, level_of = np.unique(values, return_inverse=True)
    below, above = levels[:-1], levels[1:]
    middle = below / 2 + above / 2
    # Rounding may land on the upper neighbour, which must stay flagged; the highest level accepts everything.
    candidates = np.concatenate([np.where(middle < above, middle, below), levels[-1:]])
    # Integers throughout, so that equally good thresholds compare as equal.
    accepted, missed = (np.cumsum(np.bincount(level_of[side], minlength=levels.size)) for side in (~flags, flags))
    gain = accepted * flags.sum() - missed * (~flags).sum()
    tied = np.flatnonzero(gain == gain.max())
    return float(candidates[tied[tied.size // 2]])


def fit_threshold(scores: npt.ArrayLike, abnormal: npt.ArrayLike) -> float:
    """Choose the decision threshold on held-out labelled images, which training has not seen.

    With both labels it maximises balanced accuracy, over the midpoints between neighbouring scores and the
    threshold that accepts everything; of equally good thresholds it takes the middle one. With normals alone
    it is the 95 % quantile of their scores, with anomalies alone the 5 % quantile of theirs.

    Parameters
    ----------
    scores : float [m]
        Anomaly scores; higher is more anomalous.
    abnormal : bool [m]
        True for anomalies.

    Returns
    -------
    float
        An image is abnormal when its score is greater. It is exact in the type of ``scores``, so comparing in that
        type or in float64 gives the same decisions.

    Raises
    ------
    UsageError
        There are no images, a score is not finite, or the shapes differ.
    """
    values, flags = checked_scores(scores, abnormal)
    if not values.size:
        raise UsageError(
            "the threshold is fitted on held-out labelled images, but there are none. Label some images and "
            "give --data.held_out_ratio a value above 0, or set the threshold by hand."
        )
    if has_both_sides(flags):
        return _best_threshold(values, flags)
    return float(np.quantile(values, 0.05 if flags[0] else 0.95))


@dataclass(frozen=True)
class Decisions:
    """The figures of the decisions at a threshold, with anomalies as the positives.

    Shares are in [0, 1], and None where they would divide by zero.

    Attributes
    ----------
    threshold
        An image is called abnormal when its anomaly score is greater.
    true_positives, false_positives, true_negatives, false_negatives
        Anomalies flagged, normals flagged, normals accepted, anomalies accepted.
    accuracy
        Share of right decisions.
    balanced_accuracy
        The mean of the two sides' accuracies.
    recall_abnormal
        TP / (TP + FN)
    precision_abnormal
        TP / (TP + FP)
    false_alarm_rate
        FP / (FP + TN)
    """

    threshold: float
    true_positives: int
    false_positives: int
    true_negatives: int
    false_negatives: int
    accuracy: float | None
    balanced_accuracy: float | None
    recall_abnormal: float | None
    precision_abnormal: float | None
    false_alarm_rate: float | None


def decide(scores: npt.ArrayLike, abnormal: npt.ArrayLike, threshold: float) -> Decisions:
    """Return the figures of the decisions at a threshold.

    Parameters
    ----------
    scores : float [m]
        Anomaly scores; higher is more anomalous.
    abnormal : bool [m]
        True for anomalies.
    threshold
        In the units of ``scores``.

    Raises
    ------
    UsageError
        A score or the threshold is not finite, or the shapes differ.
    """
    values, flags = checked_scores(scores, abnormal)
    if not np.isfinite(threshold):
        raise UsageError(
            f"the threshold is {threshold}, but must be a finite score. Fit it on held-out labelled images."
        )
    flagged = values > threshold
    hit, alarm = int((flagged & flags).sum()), int((flagged & ~flags).sum())
    anomalies = int(flags.sum())
    normals = flags.size - anomalies
    recall = hit / anomalies if anomalies else None
    false_alarm_rate = alarm / normals if normals else None
    balanced = None
    if recall is not None and false_alarm_rate is not None:
        balanced = (recall + 1 - false_alarm_rate) / 2
    return Decisions(
        threshold=float(threshold),
        true_positives=hit,
        false_positives=alarm,
        true_negatives=normals - alarm,
        false_negatives=anomalies - hit,
        accuracy=(hit + normals - alarm) / flags.size if flags.size else None,
        balanced_accuracy=balanced,
        recall_abnormal=recall,
        precision_abnormal=hit / (hit + alarm) if hit + alarm else None,
        false_alarm_rate=false_alarm_rate,
    )
