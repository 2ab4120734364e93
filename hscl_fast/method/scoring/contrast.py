"""Similarity to the nearest prototype minus a share of that to the mean labelled anomaly."""

from __future__ import annotations

import torch
from hscl_kernels import prototype_similarity, unit
from torch import Tensor

from hscl_fast.method.scoring.prototypes import PrototypeScore
from hscl_fast.method.scoring.score import Shape, Training

# Labelled anomalies are of few kinds: subtracted in full, they would weigh more than the prototypes do.
ANOMALY_WEIGHT = 0.5


class ContrastScore(PrototypeScore):
    """Eq. 9 minus the inner product with ``anomaly [D]``, the mean direction of the labelled anomalies times 0.5.

    Without labelled anomalies it is Eq. 9.
    """

    def constant_shapes(self) -> dict[str, Shape]:
        """Return that of ``anomaly``."""
        return {"anomaly": (self.network.prototypes.shape[1],)}

    def learn(self, training: Training) -> dict[str, Tensor]:
        """Return ``anomaly``."""
        if training.anomalies is None:
            return {"anomaly": torch.zeros_like(self.network.prototypes[0], dtype=torch.float32)}
        mean = unit(training.anomalies).mean(dim=0, keepdim=True)
        return {"anomaly": ANOMALY_WEIGHT * unit(mean)[0]}

    def score(self, evidence: Tensor) -> Tensor:
        """Return the difference."""
        similarity, _ = prototype_similarity(evidence, self.network.prototypes.float())
        return similarity - unit(evidence) @ self.constants["anomaly"]
