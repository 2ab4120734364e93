"""The decisions at a threshold on the test images."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from hscl_fast.errors import UsageError
from hscl_fast.evaluation.metrics import checked_scores


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
