"""How well the rotation classifier knows the turns of an image, which it has learned on mostly normal ones."""

from __future__ import annotations

import torch
from torch import Tensor

from hscl_fast.method.scoring.score import Score
from hscl_fast.method.scoring.views import Outputs, Views


class RotationLikelihoodScore(Score):
    """The mean over four turns of the log-probability of the turn."""

    views = Views.TURNS

    def evidence(self, outputs: Outputs) -> Tensor:
        """Return the log-probability of every turn, ``[B, 4]``."""
        logits = outputs.turns.rotation_logits  # [4, B, 4]
        assert logits is not None  # the configuration requires the rotation head
        return torch.log_softmax(logits, dim=2).diagonal(dim1=0, dim2=2)

    def score(self, evidence: Tensor) -> Tensor:
        """Return the mean."""
        return evidence.mean(dim=1)
