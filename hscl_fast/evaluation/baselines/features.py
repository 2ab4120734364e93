"""Textbook detectors on the features of a pretrained encoder, as it was before training."""

from __future__ import annotations

from typing import Self

import numpy as np
from sklearn.covariance import LedoitWolf
from sklearn.preprocessing import normalize

from hscl_fast.evaluation.baselines.baseline import Baseline
from hscl_fast.evaluation.baselines.detector import Detector, Measure, Normal, Roles, Rows, Scores, measured
from hscl_fast.method.feature_estimators import NEIGHBOURS, MeanSimilarity, NearestNeighbours, logistic_regression


class Mahalanobis:
    """Minus the squared Mahalanobis distance, with the covariance of Ledoit and Wolf, as in Rippel et al. (2021)."""

    def fit(self, rows: Rows, normal: Normal | None = None) -> Self:
        """Estimate mean and covariance of rows ``[n, F]``."""
        fitted = LedoitWolf().fit(rows.astype(np.float64))
        self._mean, self._precision = fitted.location_, fitted.get_precision()
        return self

    def decision_function(self, rows: Rows) -> Scores:
        """Return minus the squared distance of rows ``[m, F]`` from the mean."""
        centred = rows - self._mean
        return -np.einsum("mf,mf->m", centred @ self._precision, centred)


_NOTE = "On {rows}."
FEATURE_DETECTORS = {
    "features_mean": Detector("Similarity to the mean", "features", lambda *_: MeanSimilarity(), _NOTE),
    "features_knn": Detector(f"kNN (k = {NEIGHBOURS})", "features", lambda *_: NearestNeighbours(), _NOTE),
    "features_mahalanobis": Detector("Mahalanobis distance", "features", lambda *_: Mahalanobis(), _NOTE),
    "features_regression": Detector(
        "Logistic regression", "features", lambda *_: logistic_regression(), "On standardised {rows}.", from_labels=True
    ),
}


def feature_baselines(
    training: Rows, roles: Roles, test: Rows, measure: Measure, *, seconds: float = 0.0
) -> dict[str, Baseline]:
    """Train textbook detectors on an encoder's features and measure them on the test images.

    Every image's features are made unit length. Nothing else is done to them but what a detector learns from the
    training images.

    Parameters
    ----------
    training : float32 [n, F]
        Finite features of the training images.
    roles : int8 [n]
        +1 labelled normal, 0 unlabelled, -1 labelled anomaly.
    test : float32 [m, F]
        Finite features of the test images.
    measure
        Returns the figures of the test images' scores.
    seconds
        Time to compute the features.

    Returns
    -------
    dict
        By the names of ``FEATURE_DETECTORS``. Figures are None where there is nothing to train on or to test.
    """
    rows = f"{training.shape[1]:,} unit features" + (f", computed once in {seconds:,.1f} s" if seconds else "")
    return measured(FEATURE_DETECTORS, _unit(training), roles, _unit(test), measure, rows=rows, seed=0, seconds=seconds)


def _unit(features: Rows) -> Rows:
    return normalize(features) if len(features) else features
