"""Textbook detectors on the features of a pretrained encoder, as it was before training."""

from __future__ import annotations

from typing import Self

import numpy as np
from sklearn.covariance import LedoitWolf
from sklearn.linear_model import LogisticRegression
from sklearn.neighbors import NearestNeighbors
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler, normalize

from hscl_fast.evaluation.baselines.baseline import Baseline
from hscl_fast.evaluation.baselines.detector import Detector, Estimator, Measure, Normal, Roles, Rows, Scores, measured

NEIGHBOURS = 5
REGULARISATION = 0.01  # scikit-learn's C; its default, 1, is too weak for more features than labelled images


class MeanSimilarity:
    """The cosine to the mean of the training images."""

    def fit(self, rows: Rows, normal: Normal | None = None) -> Self:
        """Take the mean of unit rows ``[n, F]``."""
        mean = rows.mean(axis=0, dtype=np.float64)
        self._direction = mean / max(np.linalg.norm(mean), np.finfo(np.float64).tiny)
        return self

    def decision_function(self, rows: Rows) -> Scores:
        """Return the cosine of unit rows ``[m, F]`` to the mean."""
        return rows @ self._direction


class NearestNeighbours:
    """The mean cosine to the nearest training images, as in Sun et al. (2022)."""

    def fit(self, rows: Rows, normal: Normal | None = None) -> Self:
        """Keep the rows ``[n, F]``."""
        self._index = NearestNeighbors(n_neighbors=min(NEIGHBOURS, len(rows)), metric="cosine").fit(rows)
        return self

    def decision_function(self, rows: Rows) -> Scores:
        """Return the mean cosine of rows ``[m, F]`` to their nearest ones among those kept."""
        distances, _ = self._index.kneighbors(rows)
        return 1 - distances.mean(axis=1, dtype=np.float64)


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


def _logistic_regression(images: int, length: int, seed: int) -> Estimator:
    return make_pipeline(StandardScaler(), LogisticRegression(C=REGULARISATION, class_weight="balanced", max_iter=1000))


_NOTE = "On {rows}."
FEATURE_DETECTORS = {
    "features_mean": Detector("Similarity to the mean", "features", lambda *_: MeanSimilarity(), _NOTE),
    "features_knn": Detector(f"kNN (k = {NEIGHBOURS})", "features", lambda *_: NearestNeighbours(), _NOTE),
    "features_mahalanobis": Detector("Mahalanobis distance", "features", lambda *_: Mahalanobis(), _NOTE),
    "features_regression": Detector(
        "Logistic regression", "features", _logistic_regression, "On standardised {rows}.", from_labels=True
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
