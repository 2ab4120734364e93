"""The loss of predicting by how many quarter turns a view was rotated (CSI; not part of Eq. 8)."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.distributed import ProcessGroup

from hscl_fast.method.augment import ROTATIONS, VIEWS
from hscl_fast.method.scaled_gradient import scale_gradient


def rotation_loss(logits: Tensor, group: ProcessGroup | None) -> Tensor:
    """Return the mean cross-entropy of the four-way rotation classifier over this rank's rows.

    Parameters
    ----------
    logits
        ``[V * R * B, R]`` in row order.
    group
        Ranks over which the batch is spread, or None.

    Returns
    -------
    Tensor
        float32 scalar. If it is not finite on one rank, its gradient is NaN there, so that all ranks skip the update.
    """
    images = len(logits) // (VIEWS * ROTATIONS)
    rotations = torch.arange(ROTATIONS, device=logits.device).repeat_interleave(images).repeat(VIEWS)
    loss = F.cross_entropy(logits.float(), rotations)
    if group is None:
        return loss
    poison = torch.where(torch.isfinite(loss.detach()), 1.0, torch.nan)
    return scale_gradient(loss, poison)
