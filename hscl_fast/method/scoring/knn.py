"""The mean cosine to the nearest training images."""

from __future__ import annotations

import torch
from torch import Tensor

from hscl_fast.method.scoring.feature_score import FeatureScore
from hscl_fast.method.scoring.score import Shape, Training

NEIGHBOURS = 5
_CHUNK = 512  # training images whose similarities to all are in memory at a time


class NeighbourScore(FeatureScore):
    """The mean of the largest five cosines between an image's features and those of the training images.

    The constant is ``neighbours [n, F]``. With fewer than five images it is the mean over all of them.
    """

    def constant_shapes(self) -> dict[str, Shape]:
        """Return that of ``neighbours``."""
        return {"neighbours": (None, self.width)}

    def learn(self, training: Training) -> dict[str, Tensor]:
        """Return ``neighbours``."""
        return {"neighbours": training.known}

    def score(self, evidence: Tensor) -> Tensor:
        """Return the mean cosine."""
        return _mean_of_largest(evidence @ self.constants["neighbours"].T)

    def score_known(self, known: Tensor) -> Tensor:
        """Compare each training image with the others."""
        scores = []
        for first, chunk in zip(range(0, len(known), _CHUNK), known.split(_CHUNK), strict=True):
            similarities = chunk @ self.constants["neighbours"].T
            own = torch.arange(len(chunk), device=chunk.device)
            similarities[own, first + own] = -torch.inf
            scores.append(_mean_of_largest(similarities, most=len(known) - 1))
        return torch.cat(scores)


def _mean_of_largest(similarities: Tensor, most: int = NEIGHBOURS) -> Tensor:
    return similarities.topk(min(NEIGHBOURS, most, similarities.shape[1]), dim=1).values.mean(dim=1)
