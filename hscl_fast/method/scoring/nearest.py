"""CSI's score without rotations: similarity to the nearest training image, which needs no prototypes."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import torch
from hscl_kernels import unit
from numpy.typing import NDArray
from torch import Tensor

from hscl_fast.method.scoring.scoring import Advance, ImageSequence, Scoring, ignore


class NearestImageScoring(Scoring):
    """The largest cosine between an image's embedding and those of the training images, ``features [n, D]``."""

    def _constant_shapes(self) -> dict[str, tuple[int | None, ...]]:
        return {"features": (None, self.network.prototypes.shape[1])}

    def _learn(self, batches: Iterator[tuple[int, Tensor]]) -> dict[str, Tensor]:
        return {"features": torch.cat([unit(self._features(self._upright(batch))[0]) for _, batch in batches])}

    def _score_batch(self, images: Tensor) -> Tensor:
        return self._similarities(images).amax(dim=1)

    @torch.inference_mode()
    def score_known(self, images: ImageSequence, advance: Advance = ignore) -> NDArray[np.float64]:
        """Return the scores of the training images, each compared with the others; a lone one has its own, 1."""
        if len(images) < 2:
            return self.score(images, advance)
        scores = []
        for first, batch in self._batches(images, advance):
            similarities = self._similarities(batch)
            own = torch.arange(len(batch), device=batch.device)
            similarities[own, first + own] = -torch.inf
            scores.append(similarities.amax(dim=1))
        return torch.cat(scores).double().cpu().numpy()

    def _similarities(self, images: Tensor) -> Tensor:
        embeddings, _ = self._features(self._upright(images))
        return unit(embeddings) @ self.constants["features"].T
