"""Draws the parameters of training views as a pure function of (seed, step, image).

The distributions are those of the released code's layers, with the numbers of the view policy.
Row order: ``row = (view * R + rotation) * B + image``.
"""

from __future__ import annotations

import math
from typing import Final

import torch
from hscl_kernels import ViewParameters
from hscl_kernels.philox import random_uniforms
from torch import Tensor

from hscl_fast.config.policies import Policy
from hscl_fast.config.sections import AugmentConfig

VIEWS = 2
ROTATIONS: Final = 4  # quarter turns

_STREAM = 0  # of the counter-based generator
_TURN_STREAM = 3  # its own, so that the views of any number of rotations are some of those of four
_CROP_TRIALS = 10
_ROW_UNIFORMS = 7  # jitter, contrast first, hue, saturation, value, contrast, grey
_CROP_UNIFORMS = 2 * _CROP_TRIALS + 2


def draw_views(
    config: AugmentConfig,
    indices: Tensor,
    *,
    seed: Tensor,
    step: Tensor,
    size: tuple[int, int],
    views: int = VIEWS,
) -> ViewParameters:
    """Draw the parameters of ``views`` x R rotated views of every image.

    A view does not depend on R: with ``config.rotations`` 2 or 1 the rows are some of those of 4.

    Parameters
    ----------
    config
        The view policy: order, probabilities and ranges; and R, the number of rotations.
    indices
        int64 ``[B]``, the index of each image in the training set. Its randomness depends on this index, not on its
        place in the batch.
    seed, step
        int64 scalars on the same device.
    size
        (H, W) of the images in pixels.
    views
        V, the number of views.

    Returns
    -------
    ViewParameters
        ``V * R * B`` rows; ``image`` is the place in the batch.
    """
    batch, rotations = len(indices), config.rotations
    places = torch.arange(batch, device=indices.device).repeat(views * rotations)
    view = torch.arange(views, device=indices.device).repeat_interleave(rotations * batch)
    rotation = _draw_turns(rotations, indices, seed, step).flatten().repeat(views)
    policy = config.numbers
    index = indices.repeat(views * rotations)
    count = 1 + _ROW_UNIFORMS + _CROP_UNIFORMS
    copies = view * ROTATIONS + rotation
    u = random_uniforms(seed, step, index, copies, count, stream=_STREAM)  # [count, rows]
    # The flip belongs to the image and view: its rotated copies take the draw of the upright one.
    upright = view * rotations * batch + places
    return ViewParameters(
        image=places,
        flip=u[0][upright] < policy.flip_probability,
        rotation=rotation,
        jitter=u[1] < policy.jitter_probability,
        contrast_first=u[2] < 0.5,
        hue=_spread(u[3], 0.0, policy.hue),
        saturation=_spread(u[4], 1.0, policy.saturation),
        value=_spread(u[5], 1.0, policy.brightness),
        contrast=_spread(u[6], 1.0, policy.contrast),
        gray=u[7] < policy.gray_probability,
        crop=_draw_crops(policy, u[1 + _ROW_UNIFORMS :], size),
        crop_first=torch.full_like(copies, policy.crop_first, dtype=torch.bool),
    )


def instance_ids(batch: int, device: torch.device, rotations: int = ROTATIONS) -> Tensor:
    """Return int64 ``[V * R * batch]``: two rows are positives of each other iff their ids are equal."""
    return torch.arange(rotations * batch, device=device).repeat(VIEWS)


def _draw_turns(rotations: int, indices: Tensor, seed: Tensor, step: Tensor) -> Tensor:
    """Return the quarter turns of the copies of every image, int64 ``[R, B]``, which are the same in all its views."""
    turns = torch.arange(ROTATIONS, device=indices.device)[:, None].expand(-1, len(indices))
    if rotations != 2:
        return turns[:rotations]
    (u,) = random_uniforms(seed, step, indices, torch.zeros_like(indices), 1, stream=_TURN_STREAM)
    turn = 1 + ((ROTATIONS - 1) * u).long()
    return torch.stack((torch.zeros_like(turn), turn))


def _spread(u: Tensor, centre: float, half_width: float) -> Tensor:
    return (centre + half_width * (2 * u - 1)).float()


def _draw_crops(policy: Policy, u: Tensor, size: tuple[int, int]) -> Tensor:
    """Inception crops ``[rows, 4]`` from ``u [22, rows]``: the first of ten trials that fits, else the whole image."""
    height, width = size
    low, high = policy.crop_area
    log_low, log_high = (math.log(ratio) for ratio in policy.crop_ratio)
    area = (low + (high - low) * u[:_CROP_TRIALS]) * (height * width)  # [trials, rows]
    ratio = torch.exp(log_low + (log_high - log_low) * u[_CROP_TRIALS : 2 * _CROP_TRIALS])
    w, h = (area * ratio).sqrt().round(), (area / ratio).sqrt().round()
    fits = (w > 0) & (w <= width) & (h > 0) & (h <= height)
    first = fits.to(torch.int8).argmax(dim=0, keepdim=True)
    w = torch.where(fits.any(dim=0), w.gather(0, first)[0], float(width))
    h = torch.where(fits.any(dim=0), h.gather(0, first)[0], float(height))
    w_bias = w - width + (u[-2] * (2 * (width - w) + 1)).floor()
    h_bias = h - height + (u[-1] * (2 * (height - h) + 1)).floor()
    return torch.stack((w / width, h / height, w_bias / width, h_bias / height), dim=1).float()
