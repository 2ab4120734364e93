"""Peers that run on a GPU only: losses that never store the similarities, and flash attention as an upper bar.

The packages are made for logits of all columns, and none can leave out a row's similarity to itself: they are given all
N rows on both sides and each row's other view as its label, which is the same work and a slightly larger loss.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from benchmarks.batch import Batch
from benchmarks.interleave import Variant, differentiable

_TEMPERATURE = 0.5


def inf_cl(batch: Batch) -> Variant:
    """Return the loss of Inf-CL (Cheng et al., 2024), which computes in float32 whatever it is given."""
    from inf_cl import cal_flash_loss

    z, partner = batch.embeddings, _partner(batch)

    def loss() -> Tensor:
        units = F.normalize(z, dim=1)
        return cal_flash_loss(units, units, partner, 1 / _TEMPERATURE, head_dim=z.shape[1]).mean()

    return differentiable(loss, z)


def cut_cross_entropy(batch: Batch) -> Variant:
    """Return Cut Cross-Entropy (Wijmans et al., 2024), which leaves out no gradient here: see ``filter_eps``."""
    from cut_cross_entropy import linear_cross_entropy

    z, partner = batch.embeddings, _partner(batch)

    def loss() -> Tensor:
        units = F.normalize(z, dim=1)
        return linear_cross_entropy(units / _TEMPERATURE, units, partner, filter_eps=None)

    return differentiable(loss, z)


def liger(batch: Batch) -> Variant:
    """Return Liger-Kernel's fused linear cross-entropy, which computes its gradients in the forward pass."""
    from liger_kernel.transformers.functional import liger_fused_linear_cross_entropy

    z, partner = batch.embeddings, _partner(batch)

    def loss() -> Tensor:
        units = F.normalize(z, dim=1)
        return liger_fused_linear_cross_entropy(units / _TEMPERATURE, units, partner)

    return differentiable(loss, z)


def flash_attention(batch: Batch) -> Variant:
    """Return torch's flash attention of the units over themselves, whose log-sum-exp is that of the rows.

    It is an upper bar, not a loss: the forward does two products, of which the loss needs the first, and on the whole
    matrix; the backward does five. ``loss`` is the mean log-sum-exp.
    """
    units = F.normalize(batch.embeddings.detach(), dim=1)[None, None].requires_grad_()  # [1, 1, N, D]

    def forward() -> tuple[Tensor, Tensor]:
        attention = torch.ops.aten._scaled_dot_product_flash_attention
        out, log_sums, *_ = attention(units, units, units, scale=1 / _TEMPERATURE)
        return out, log_sums

    def backward(given: tuple[Tensor, Tensor]) -> object:
        out = given[0]
        return torch.autograd.grad(out, units, torch.ones_like(out))

    return Variant(forward, backward)


def _partner(batch: Batch) -> Tensor:
    """Return each row's other view."""
    rows = len(batch.embeddings)
    return (torch.arange(rows, device=batch.embeddings.device) + rows // 2) % rows
