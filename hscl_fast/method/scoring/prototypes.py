"""Similarity to the nearest prototype (Eq. 9), of one view or averaged over four turns or over the corners."""

from __future__ import annotations

import torch
from hscl_kernels import prototype_similarity
from torch import Tensor

from hscl_fast.method.scoring.score import Score
from hscl_fast.method.scoring.views import Outputs, Views


class PrototypeScore(Score):
    """Eq. 9: the largest cosine between an un-augmented view's embedding and a prototype."""

    def evidence(self, outputs: Outputs) -> Tensor:
        """Return the embeddings ``[B, D]`` of the upright view."""
        return outputs.turns.embeddings[0]

    def score(self, evidence: Tensor) -> Tensor:
        """Return Eq. 9."""
        similarity, _ = prototype_similarity(evidence, self.network.prototypes.float())
        return similarity


class RotationScore(Score):
    """The mean of Eq. 9 over the four turns of an image."""

    views = Views.TURNS

    def evidence(self, outputs: Outputs) -> Tensor:
        """Return Eq. 9 of every turn, ``[B, 4]``."""
        prototypes = self.network.prototypes.float()
        return torch.stack([prototype_similarity(turn, prototypes)[0] for turn in outputs.turns.embeddings], dim=1)

    def score(self, evidence: Tensor) -> Tensor:
        """Return the mean."""
        return evidence.mean(dim=1)


class CornerScore(Score):
    """The mean of Eq. 9 over four crops of an image, one in each corner.

    Training compares crops. The whole image is none, and one crop says less than several.
    """

    views = Views.CORNERS

    def evidence(self, outputs: Outputs) -> Tensor:
        """Return Eq. 9 of every crop, ``[B, 4]``."""
        assert outputs.corners is not None
        prototypes = self.network.prototypes.float()
        return torch.stack([prototype_similarity(crop, prototypes)[0] for crop in outputs.corners.embeddings], dim=1)

    def score(self, evidence: Tensor) -> Tensor:
        """Return the mean."""
        return evidence.mean(dim=1)
