"""CSI's score without rotations: similarity to the nearest training image, which needs no prototypes."""

from __future__ import annotations

from collections.abc import Iterator

import torch
from hscl_kernels.prototypes.reference import unit
from torch import Tensor

from hscl_fast.method.scoring.scoring import Scoring


class NearestImageScoring(Scoring):
    """The largest cosine between an image's embedding and those of the training images, ``features [n, D]``."""

    def _learn(self, batches: Iterator[tuple[int, Tensor]]) -> dict[str, Tensor]:
        return {"features": torch.cat([unit(self._features(self._upright(batch))[0]) for _, batch in batches])}

    def _score_batch(self, images: Tensor, first: int) -> Tensor:
        embeddings, _ = self._features(self._upright(images))
        return (unit(embeddings) @ self.constants["features"].T).amax(dim=1)
