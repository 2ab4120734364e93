"""The released code's score: an average over ten crops and four rotations, with the rotation classifier's logits."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import torch
from hscl_kernels import ViewParameters, unit
from torch import Tensor

from hscl_fast.method.augment import ROTATIONS, draw_views
from hscl_fast.method.scoring.scoring import Scoring

RELEASED_CROPS = 10
RELEASED_AREA = 0.54
_CROP_SEED = 0  # every image gets the same ten crops, so that its score depends on nothing but itself


class ReleasedScoring(Scoring):
    """Similarity and rotation logit, divided by means over the training images, added and averaged over rotations.

    The constants are ``embedding_norm [4]`` and ``rotation_logit [4]``, one per rotation.
    """

    rows_per_image = RELEASED_CROPS * ROTATIONS
    shrink_batch = RELEASED_CROPS

    def _constant_shapes(self) -> dict[str, tuple[int | None, ...]]:
        return {"embedding_norm": (ROTATIONS,), "rotation_logit": (ROTATIONS,)}

    def _learn(self, batches: Iterator[tuple[int, Tensor]]) -> dict[str, Tensor]:
        parts = [self._parts(batch) for _, batch in batches]
        norms = torch.cat([embeddings.norm(dim=2) for embeddings, _ in parts], dim=1)  # [4, n]
        logits = torch.cat([own for _, own in parts], dim=1)  # [4, n]
        return {"embedding_norm": norms.mean(dim=1), "rotation_logit": logits.mean(dim=1)}

    def _score_batch(self, images: Tensor) -> Tensor:
        embeddings, own_logits = self._parts(images)
        prototypes = unit(self.network.prototypes.float())
        similarity = (embeddings @ prototypes.T).amax(dim=2)  # [4, B], not normalised, as released
        by_similarity = similarity / self.constants["embedding_norm"][:, None]
        by_rotation = own_logits / self.constants["rotation_logit"][:, None]
        return (by_similarity + by_rotation).mean(dim=0)

    def _parts(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """Return means over ten crops: embeddings ``[4, B, D]`` and each rotation's own logit ``[4, B]``."""
        policy = replace(self.augment, crop_area=(RELEASED_AREA, RELEASED_AREA), rotations=ROTATIONS)
        indices = torch.zeros(len(images), dtype=torch.int64, device=images.device)
        seed = torch.tensor(_CROP_SEED, device=images.device)
        size = (images.shape[1], images.shape[2])
        steps = torch.arange(RELEASED_CROPS, device=images.device)
        crops = [draw_views(policy, indices, seed=seed, step=step, size=size, views=1) for step in steps]
        parameters = ViewParameters(*(torch.cat(fields) for fields in zip(*crops, strict=True)))
        embeddings, logits = self._features(self._render(images, parameters))
        assert logits is not None  # the configuration requires the rotation head
        rows = (RELEASED_CROPS, ROTATIONS, len(images))
        own = logits.view(*rows, ROTATIONS).diagonal(dim1=1, dim2=3)  # [10, B, 4]
        return embeddings.view(*rows, -1).mean(dim=0), own.mean(dim=0).T
