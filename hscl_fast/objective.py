"""From a batch's embeddings to its loss: which terms, which weights, which roles the rotated copies play."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from hscl_kernels import hscl_loss
from hscl_kernels.philox import random_uniforms
from torch import Tensor

from hscl_fast.augment import ROTATIONS, VIEWS, instance_ids
from hscl_fast.config import ObjectiveConfig
from hscl_fast.released import ReleasedLoss, released_loss

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
        # The fused forms take half precision as it is and compute sums, losses and weights in float32.
        loss = hscl_loss(
            embeddings.float() if config.backend == "reference" else embeddings,
            prototypes,
            instance_ids(len(roles), roles.device),
            rows,
            temperature=config.temperature,
            lambda_prototype=config.lambda_prototype,
            lambda_abnormal=config.lambda_abnormal,
            weight_threshold=config.weight_threshold,
            na_estimator=config.na_estimator,
            uniforms=_uniforms(seed, step, len(rows), 2) if sampled else None,
            backend=config.backend,
        )
        terms = [loss.total, loss.sample_to_sample, loss.sample_to_prototype, loss.normal_to_abnormal]
    if rotation_logits is not None:
        rotations = torch.arange(ROTATIONS, device=rows.device).repeat_interleave(len(roles)).repeat(VIEWS)
        rotation_loss = F.cross_entropy(rotation_logits.float(), rotations)
        terms = [terms[0] + rotation_loss, *terms[1:], rotation_loss]
    return torch.stack(terms)


def _uniforms(seed: Tensor, step: Tensor, rows: int, count: int) -> Tensor:
    index = torch.arange(rows, device=seed.device)
    return random_uniforms(seed, step, index, torch.zeros_like(index), count, stream=_STREAM)
