"""The Mahalanobis distance to the training images, without the farthest of them."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from hscl_fast.method.scoring.feature_score import FeatureScore, as_array
from hscl_fast.method.scoring.score import Shape, Training

# Hidden anomalies are among the farthest training images; they would widen the covariance in their own directions.
DROPPED_SHARE = 0.2
_RIDGE = 1e-6  # of a unit vector's variance per direction; features that are all equal have no covariance


class MahalanobisScore(FeatureScore):
    """Minus the squared distance ``|(u - mean) @ whitening|^2``, with Ledoit and Wolf's covariance (2004).

    Mean and covariance are fitted on all training images and, without the farthest fifth of them, fitted again. The
    constants are ``mean [F]`` and ``whitening [F, F]``.
    """

    def constant_shapes(self) -> dict[str, Shape]:
        """Return those of both."""
        return {"mean": (self.width,), "whitening": (self.width, self.width)}

    def learn(self, training: Training) -> dict[str, Tensor]:
        """Return both."""
        features = as_array(training.known)
        mean, whitening = _fit(features)
        distances = np.square((features - mean) @ whitening).sum(axis=1)
        nearest = np.argsort(distances, kind="stable")[: len(features) - int(DROPPED_SHARE * len(features))]
        mean, whitening = _fit(features[nearest])
        constants = {"mean": mean, "whitening": whitening}
        return {name: torch.from_numpy(array).to(training.known) for name, array in constants.items()}

    def score(self, evidence: Tensor) -> Tensor:
        """Return the distance, negative."""
        return -((evidence - self.constants["mean"]) @ self.constants["whitening"]).square().sum(dim=1)


def _fit(features: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return mean and whitening, a square root of the precision."""
    from sklearn.covariance import ledoit_wolf  # imported here, so that scoring new images need not

    mean = features.mean(axis=0)
    covariance, _ = ledoit_wolf(features - mean, assume_centered=True)
    covariance.flat[:: len(mean) + 1] += _RIDGE / len(mean)
    # With the covariance C = L L', the squared distance is |L^-1 (u - mean)|^2.
    return mean, np.linalg.inv(np.linalg.cholesky(covariance)).T
