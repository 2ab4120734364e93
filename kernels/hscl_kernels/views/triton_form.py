"""The launch of ``views_kernel``."""

from __future__ import annotations

import torch
from torch import Tensor

from hscl_kernels import launch
from hscl_kernels.views.parameters import ViewParameters
from hscl_kernels.views.triton_kernels import views_kernel


def augment_views(
    images: Tensor, parameters: ViewParameters, *, dtype: torch.dtype, mean: list[float], std: list[float]
) -> Tensor:
    """Return ``[rows, C, H, W]``, channels_last, as :func:`hscl_kernels.augment_views` describes it. One launch."""
    count, height, width, channels = images.shape
    rows = len(parameters.image)
    views = torch.empty(rows, height, width, channels, dtype=dtype, device=images.device)
    tile = launch.view_tile(height * width)
    launch.launcher(views_kernel)[(rows,)](
        images.contiguous(),
        *(_plain(field) for field in parameters),
        views,
        count,
        *(1 / _channel(std, channel) for channel in range(3)),
        *(-_channel(mean, channel) / _channel(std, channel) for channel in range(3)),
        HEIGHT=height,
        WIDTH=width,
        CHANNELS=channels,
        BLOCK=tile.rows,
        num_warps=tile.warps,
        **launch.compiler_options(images.device),
    )
    return views.permute(0, 3, 1, 2)


def _channel(values: list[float], channel: int) -> float:
    """Return a channel's value; the kernel takes three, of which grey images use the first."""
    return values[min(channel, len(values) - 1)]


def _plain(field: Tensor) -> Tensor:
    """Return a contiguous field, truths as bytes."""
    field = field.contiguous()
    return field.view(torch.uint8) if field.dtype == torch.bool else field
