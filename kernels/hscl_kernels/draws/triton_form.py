"""The launch of ``draws_kernel``."""

from __future__ import annotations

import math

import torch
import triton
from torch import Tensor

from hscl_kernels import launch
from hscl_kernels.draws.distribution import ViewDistribution
from hscl_kernels.draws.triton_kernels import draws_kernel
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
    """Return what :func:`hscl_kernels.draw_view_parameters` describes. One launch."""
    (batch,), (height, width) = indices.shape, size
    rows = views * rotations * batch
    parameters = ViewParameters.empty(rows, indices.device)
    (area_low, area_high), ratios = distribution.crop_area, distribution.crop_ratio
    ratio_low, ratio_high = (math.log(ratio) for ratio in ratios)
    launch.launcher(draws_kernel)[(triton.cdiv(rows, launch.DRAW_BLOCK),)](
        indices.contiguous(),
        seed,
        step,
        *(field.view(torch.uint8) if field.dtype == torch.bool else field for field in parameters),
        batch,
        rows,
        ROTATIONS=rotations,
        HEIGHT=height,
        WIDTH=width,
        CROP_FIRST=int(distribution.crop_first),
        FLIPPED=distribution.flip_probability,
        JITTERED=distribution.jitter_probability,
        GRAYED=distribution.gray_probability,
        BY_VALUE=distribution.brightness,
        BY_CONTRAST=distribution.contrast,
        BY_SATURATION=distribution.saturation,
        BY_HUE=distribution.hue,
        AREA_LOW=area_low,
        AREA_RANGE=area_high - area_low,
        RATIO_LOW=ratio_low,
        RATIO_RANGE=ratio_high - ratio_low,
        BLOCK=launch.DRAW_BLOCK,
        num_warps=4,
        enable_fp_fusion=False,
        **launch.compiler_options(indices.device),
    )
    return parameters
