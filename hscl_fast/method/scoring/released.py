"""The released code's score: an average over ten crops and four turns, with the rotation classifier's logits."""

from __future__ import annotations

import torch
from hscl_kernels import unit
from torch import Tensor

from hscl_fast.method.augment import ROTATIONS
from hscl_fast.method.scoring.score import Score, Shape, Training
from hscl_fast.method.scoring.views import Outputs, Views


class ReleasedScore(Score):
    """Similarity and rotation logit, divided by means over the training images, added and averaged over turns.

    The constants are ``embedding_norm [4]`` and ``rotation_logit [4]``, one per turn.
    """

    views = Views.CROPS

    def evidence(self, outputs: Outputs) -> Tensor:
        """Return similarity, length of the embedding and own logit, each of four turns: ``[B, 3, 4]``."""
        assert outputs.crops is not None
        _, embeddings, logits = outputs.crops
        assert logits is not None  # the configuration requires the rotation head
        mean = embeddings.mean(dim=0)  # [4, B, D]
        similarity = (mean @ unit(self.network.prototypes.float()).T).amax(dim=2)  # not normalised, as released
        own = logits.diagonal(dim1=1, dim2=3).mean(dim=0)  # [B, 4]
        return torch.stack((similarity.T, mean.norm(dim=2).T, own), dim=1)

    def constant_shapes(self) -> dict[str, Shape]:
        """Return those of both."""
        return {"embedding_norm": (ROTATIONS,), "rotation_logit": (ROTATIONS,)}

    def learn(self, training: Training) -> dict[str, Tensor]:
        """Return both."""
        _, norm, logit = training.known.unbind(dim=1)
        return {"embedding_norm": norm.mean(dim=0), "rotation_logit": logit.mean(dim=0)}

    def score(self, evidence: Tensor) -> Tensor:
        """Return the sum, averaged."""
        similarity, _, logit = evidence.unbind(dim=1)
        parts = similarity / self.constants["embedding_norm"] + logit / self.constants["rotation_logit"]
        return parts.mean(dim=1)
