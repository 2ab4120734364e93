"""View parameters in plain PyTorch: the oracle of the Triton form, and the form of the CPU.

Source: the distributions of CSI's augmentation layers, which the released HSCL code uses.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from hscl_kernels.draws import numbers
from hscl_kernels.draws.distribution import ViewDistribution
from hscl_kernels.philox import random_uniforms
from hscl_kernels.views.parameters import ViewParameters


def draw_view_parameters(
    indices: Tensor,
    distribution: ViewDistribution,
    *,
    seed: Tensor,
    step: Tensor,
    size: tuple[int, int],
    views: int,
    rotations: int,
) -> ViewParameters:
    """Return what :func:`hscl_kernels.draw_view_parameters` describes."""
    batch = indices.shape[0]
    places = torch.arange(batch, device=indices.device).repeat(views * rotations)
    view = torch.arange(views, device=indices.device).repeat_interleave(rotations * batch)
    rotation = _turns(rotations, indices, seed, step).flatten().repeat(views)
    copies = view * numbers.TURNS + rotation
    repeated = indices.repeat(views * rotations)
    u = random_uniforms(seed, step, repeated, copies, numbers.COUNT, stream=numbers.VIEW_STREAM)  # [COUNT, rows]
    # The flip belongs to the image and view: its rotated copies take the draw of the upright one.
    upright = view * rotations * batch + places
    return ViewParameters(
        image=places,
        flip=u[numbers.FLIP][upright] < distribution.flip_probability,
        rotation=rotation,
        jitter=u[numbers.JITTER] < distribution.jitter_probability,
        contrast_first=u[numbers.CONTRAST_FIRST] < 0.5,
        hue=_spread(u[numbers.HUE], 0.0, distribution.hue),
        saturation=_spread(u[numbers.SATURATION], 1.0, distribution.saturation),
        value=_spread(u[numbers.VALUE], 1.0, distribution.brightness),
        contrast=_spread(u[numbers.CONTRAST], 1.0, distribution.contrast),
        gray=u[numbers.GRAY] < distribution.gray_probability,
        crop=_crops(distribution, u, size),
        crop_first=torch.full_like(copies, distribution.crop_first, dtype=torch.bool),
    )


def _turns(rotations: int, indices: Tensor, seed: Tensor, step: Tensor) -> Tensor:
    """Return the quarter turns of the copies of every image, int64 ``[R, B]``, which are the same in all its views."""
    turns = torch.arange(numbers.TURNS, device=indices.device)[:, None].expand(-1, indices.shape[0])
    if rotations != 2:
        return turns[:rotations]
    (u,) = random_uniforms(seed, step, indices, torch.zeros_like(indices), 1, stream=numbers.TURN_STREAM)
    turn = 1 + ((numbers.TURNS - 1) * u).long()
    return torch.stack((torch.zeros_like(turn), turn))


def _spread(u: Tensor, centre: float, half_width: float) -> Tensor:
    return (centre + half_width * (2 * u - 1)).float()


def _crops(distribution: ViewDistribution, u: Tensor, size: tuple[int, int]) -> Tensor:
    """Inception crops ``[rows, 4]``: the first of ten trials that fits, else the whole image."""
    height, width = size
    low, high = distribution.crop_area
    log_low, log_high = (math.log(ratio) for ratio in distribution.crop_ratio)
    area = (low + (high - low) * u[numbers.AREA : numbers.RATIO]) * (height * width)  # [trials, rows]
    ratio = torch.exp(log_low + (log_high - log_low) * u[numbers.RATIO : numbers.X])
    w, h = (area * ratio).sqrt().round(), (area / ratio).sqrt().round()
    fits = (w > 0) & (w <= width) & (h > 0) & (h <= height)
    first = fits.to(torch.int8).argmax(dim=0, keepdim=True)
    w = torch.where(fits.any(dim=0), w.gather(0, first)[0], float(width))
    h = torch.where(fits.any(dim=0), h.gather(0, first)[0], float(height))
    w_bias = w - width + (u[numbers.X] * (2 * (width - w) + 1)).floor()
    h_bias = h - height + (u[numbers.Y] * (2 * (height - h) + 1)).floor()
    return torch.stack((w / width, h / height, w_bias / width, h_bias / height), dim=1).float()
