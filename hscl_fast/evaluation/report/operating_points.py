"""What every threshold would do to the test images, for the slider of a report."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from hscl_fast.evaluation.metrics import Flags, Scores

MOST = 400  # thresholds; keeps a page of a million images small


@dataclass(frozen=True)
class OperatingPoints:
    """Thresholds from low to high, and how many images each flags.

    Attributes
    ----------
    thresholds
        Anomaly scores; an image above one is flagged.
    flagged_abnormal, flagged_normal
        Images flagged at each.
    abnormal, normal
        All images.
    current
        The place of the threshold that the run has.
    """

    thresholds: list[float]
    flagged_abnormal: list[int]
    flagged_normal: list[int]
    abnormal: int
    normal: int
    current: int


def operating_points(anomaly_scores: Scores, abnormal: Flags, threshold: float) -> OperatingPoints:
    """Return up to ``MOST`` thresholds between the scores, evenly spread over the images, and the run's own.

    Parameters
    ----------
    anomaly_scores : float [m]
        Higher is more anomalous; there is at least one image.
    abnormal : bool [m]
        True for anomalies.
    threshold
        The run's own.
    """
    values = anomaly_scores.astype(np.float64)
    levels = np.unique(values)
    places = np.unique(np.linspace(0, len(levels) - 1, min(MOST, len(levels))).round().astype(int))
    between = (levels[places[:-1]] + levels[places[:-1] + 1]) / 2
    margin = (levels[-1] - levels[0]) / 50 or 1.0
    chosen = np.unique(np.concatenate([[levels[0] - margin], between, [levels[-1] + margin, threshold]]))

    def flagged(scores: Scores) -> list[int]:
        return (len(scores) - np.searchsorted(np.sort(scores), chosen, "right")).tolist()

    return OperatingPoints(
        thresholds=chosen.tolist(),
        flagged_abnormal=flagged(values[abnormal]),
        flagged_normal=flagged(values[~abnormal]),
        abnormal=int(abnormal.sum()),
        normal=int((~abnormal).sum()),
        current=int(np.searchsorted(chosen, threshold)),
    )
