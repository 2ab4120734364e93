"""The one convention for the scores that users see: anomaly scores, higher = more anomalous.

Networks and metrics work with normality scores, higher = more normal. These become anomaly scores here, and nowhere
else; the threshold, files, tables, reports and exports have anomaly scores only.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

SCORE_DIRECTION = "anomaly scores: higher is more anomalous; abnormal when anomaly_score > threshold, normal otherwise"


def anomaly_scores(normality: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return minus the normality scores, float64 ``[n]``.

    >>> anomaly_scores(np.array([0.5, 0.0]))
    array([-0.5,  0. ])
    """
    return 0.0 - normality  # not -normality, which makes -0.0 of 0.0


def decision(anomaly_score: float, threshold: float) -> str:
    """Return ``abnormal`` for a score above the threshold, and ``normal`` for any other."""
    return "abnormal" if anomaly_score > threshold else "normal"
