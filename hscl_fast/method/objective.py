"""From a batch's embeddings to its loss: which terms, which weights, which roles the rotated copies play."""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from hscl_kernels import hscl_loss
from hscl_kernels.philox import random_uniforms
from torch import Tensor
from torch.distributed import ProcessGroup

from hscl_fast.config.sections import ObjectiveConfig
from hscl_fast.method.augment import ROTATIONS, VIEWS, instance_ids
from hscl_fast.method.released_loss import ReleasedLoss, released_loss

__all__ = ["ReleasedLoss", "compute_loss", "loss_names", "released_loss", "row_roles"]

_STREAM = 1  # of the counter-based generator


def loss_names(config: ObjectiveConfig) -> tuple[str, ...]:
    """Return the names of the terms :func:`compute_loss` returns, in order; the first is the sum that is trained on."""
    if config.name == "released":
        terms: tuple[str, ...] = ("total", "nt_xent", "convex")
    else:
        terms = ("total", "sample_to_sample", "sample_to_prototype", "normal_to_abnormal")
    return (*terms, "rotation") if config.shift_loss else terms


def row_roles(roles: Tensor, rotated_roles: str) -> Tensor:
    """Return the role of every row, int64 ``[V * R * B]``, from the images' roles ``[B]``.

    Rotated copies ``inherit`` the image's role, are ``exclude``-d from all but L_SS (role 2), or, for images that are
    not abnormal, count as ``abnormal``.
    """
    upright = roles.long()
    if rotated_roles == "inherit":
        rotated = upright
    else:
        rotated = torch.full_like(upright, 2 if rotated_roles == "exclude" else -1)
    return torch.cat((upright, *[rotated] * (ROTATIONS - 1))).repeat(VIEWS)


def compute_loss(
    config: ObjectiveConfig,
    embeddings: Tensor,
    prototypes: Tensor,
    rotation_logits: Tensor | None,
    roles: Tensor,
    *,
    seed: Tensor,
    step: Tensor,
    group: ProcessGroup | None = None,
) -> Tensor:
    """Return the training loss and its parts for one batch.

    Parameters
    ----------
    config
        Which objective, and its weights.
    embeddings
        Raw features, ``[N, D]`` with N = 2 views x 4 rotations x B, in row order.
    prototypes
        Raw prototypes, ``[K, D]``.
    rotation_logits
        ``[N, 4]``, or None without ``shift_loss``.
    roles
        The images' roles, ``[B]`` in {+1, 0, -1}.
    seed, step
        int64 scalars on the device; random draws are a pure function of them.
    group
        Ranks over which the batch is spread: all arguments are this rank's share. The HSCL terms are those of the whole
        batch, the rotation loss is that of the share, and gradients are such that their *average* over the ranks is
        that of the whole batch. A loss that is not finite on one rank makes the averages NaN.

    Returns
    -------
    Tensor
        float32 ``[terms]`` in the order of :func:`loss_names`; differentiate the first.
    """
    rows = row_roles(roles, config.rotated_roles)
    if config.name == "released":
        uniforms = _uniforms(seed, step, len(rows), 12).view(6, 2, -1).transpose(1, 2)
        released = released_loss(
            embeddings.float(), prototypes, rows, temperature=config.temperature, uniforms=uniforms
        )
        terms = [released.nt_xent + released.convex, released.nt_xent, released.convex]
    else:
        sampled = config.na_estimator == "multinomial"
        rank, ranks = (0, 1) if group is None else (group.rank(), group.size())
        # The fused forms take half precision as it is and compute sums, losses and weights in float32.
        loss = hscl_loss(
            embeddings.float() if config.backend == "reference" else embeddings,
            prototypes,
            instance_ids(len(roles), roles.device) + rank * ROTATIONS * len(roles),
            rows,
            temperature=config.temperature,
            lambda_prototype=config.lambda_prototype,
            lambda_abnormal=config.lambda_abnormal,
            weight_threshold=config.weight_threshold,
            na_estimator=config.na_estimator,
            uniforms=_uniforms(seed, step, ranks * len(rows), 2) if sampled else None,
            group=group,
            backend=config.backend,
        )
        total = loss.total if group is None else _ScaledGradient.apply(loss.total, torch.full_like(loss.total, ranks))
        terms = [total, loss.sample_to_sample, loss.sample_to_prototype, loss.normal_to_abnormal]
    if rotation_logits is not None:
        rotations = torch.arange(ROTATIONS, device=rows.device).repeat_interleave(len(roles)).repeat(VIEWS)
        rotation_loss = F.cross_entropy(rotation_logits.float(), rotations)
        if group is not None:
            # Infinite on this rank alone, it may have finite gradients: all ranks are to skip the update, not one.
            poison = torch.where(torch.isfinite(rotation_loss.detach()), 1.0, torch.nan)
            rotation_loss = _ScaledGradient.apply(rotation_loss, poison)
        terms = [terms[0] + rotation_loss, *terms[1:], rotation_loss]
    return torch.stack(terms)


class _ScaledGradient(torch.autograd.Function):
    """A value as it is; its gradient times a factor."""

    @staticmethod
    def forward(ctx: Any, value: Tensor, factor: Tensor) -> Tensor:
        ctx.save_for_backward(factor)
        return value.clone()

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None]:
        (factor,) = ctx.saved_tensors
        return gradient * factor, None


def _uniforms(seed: Tensor, step: Tensor, rows: int, count: int) -> Tensor:
    index = torch.arange(rows, device=seed.device)
    return random_uniforms(seed, step, index, torch.zeros_like(index), count, stream=_STREAM)
