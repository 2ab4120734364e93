"""The loss of predicting by how many quarter turns a view was rotated (CSI; not part of Eq. 8)."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from hscl_fast.config.sections import ObjectiveConfig
from hscl_fast.method.scaled_gradient import scale_gradient
from hscl_fast.method.terms import ExtraTerm, Term, TermInputs


def rotation_loss(config: ObjectiveConfig, inputs: TermInputs) -> Tensor:
    """Return the mean cross-entropy of the four-way rotation classifier over this rank's rows.

    If it is not finite on one rank, its gradient is NaN there, so that all ranks skip the update.
    """
    logits = inputs.rotation_logits
    assert logits is not None  # shift_loss gives the network its rotation head
    loss = F.cross_entropy(logits.float(), inputs.rotation)
    if inputs.group is None:
        return loss
    poison = torch.where(torch.isfinite(loss.detach()), 1.0, torch.nan)
    return scale_gradient(loss, poison)


ROTATION = ExtraTerm(
    Term("rotation", "Rotation classification", "rot"), is_on=lambda config: config.shift_loss, loss=rotation_loss
)
