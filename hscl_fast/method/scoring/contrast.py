"""Similarity to the nearest prototype minus that to the mean labelled anomaly."""

from __future__ import annotations

from collections.abc import Iterator

import torch
from hscl_kernels import prototype_similarity, unit
from torch import Tensor

from hscl_fast.method.scoring.scoring import Scoring


class ContrastScoring(Scoring):
    """Eq. 9 minus the cosine with ``anomaly [D]``, the mean direction of the labelled anomalies.

    Without labelled anomalies it is Eq. 9.
    """

    learns_from_anomalies = True

    def _constant_shapes(self) -> dict[str, tuple[int | None, ...]]:
        return {"anomaly": (self.network.prototypes.shape[1],)}

    def _learn_anomalies(self, batches: Iterator[tuple[int, Tensor]]) -> dict[str, Tensor]:
        directions = [unit(self._features(self._upright(batch))[0]) for _, batch in batches]
        if not directions:
            return {"anomaly": torch.zeros_like(self.network.prototypes[0], dtype=torch.float32)}
        return {"anomaly": unit(torch.cat(directions).mean(dim=0, keepdim=True))[0]}

    def _score_batch(self, images: Tensor) -> Tensor:
        embeddings, _ = self._features(self._upright(images))
        similarity, _ = prototype_similarity(embeddings, self.network.prototypes.float())
        return similarity - unit(embeddings) @ self.constants["anomaly"]
