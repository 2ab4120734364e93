"""A logistic regression on the labelled images, whole or in their corners."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from hscl_fast.method.scoring.feature_score import FeatureScore, as_array
from hscl_fast.method.scoring.score import Shape, Training
from hscl_fast.method.scoring.views import Outputs, Views

INVERSE_PENALTY = 1e-3  # few labels and many features: the penalty has to be strong
# Of a feature, as a share of 1 / sqrt(F): one that is almost always 0 would outweigh all others where it is not.
_LEAST_DEVIATION = 1e-2


class RegressionScore(FeatureScore):
    """The logit ``u @ weight + bias`` of a labelled image being normal, each label weighing the same in all.

    It is fitted on features that are standardised on the training images. The constants are ``weight [F]`` and
    ``bias [1]``.
    """

    def constant_shapes(self) -> dict[str, Shape]:
        """Return those of both."""
        return {"weight": (self.width,), "bias": (1,)}

    def learn(self, training: Training) -> dict[str, Tensor]:
        """Return both; there must be labelled normals and labelled anomalies."""
        from sklearn.linear_model import LogisticRegression  # imported here, so that scoring new images need not

        assert training.anomalies is not None  # the caller has looked for both labels
        known, normals = as_array(training.known), as_array(training.known[training.normal])
        mean, deviation = known.mean(axis=0), known.std(axis=0)
        deviation = np.maximum(deviation, _LEAST_DEVIATION / np.sqrt(known.shape[1]))
        features = (np.concatenate((normals, as_array(training.anomalies))) - mean) / deviation
        fitted = LogisticRegression(C=INVERSE_PENALTY, class_weight="balanced", max_iter=1000)
        fitted.fit(features, np.arange(len(features)) < len(normals))
        weight = fitted.coef_[0] / deviation
        constants = {"weight": weight, "bias": fitted.intercept_ - weight @ mean}
        return {name: torch.from_numpy(array).to(training.known) for name, array in constants.items()}

    def score(self, evidence: Tensor) -> Tensor:
        """Return the logit."""
        return evidence @ self.constants["weight"] + self.constants["bias"]


class CornerRegressionScore(RegressionScore):
    """The same on the mean unit features of four crops of an image, one in each corner."""

    views = Views.CORNERS

    def evidence(self, outputs: Outputs) -> Tensor:
        """Return the mean, ``[B, F]``."""
        assert outputs.corners is not None
        return self.directions(outputs.corners).mean(dim=0)
