"""Runs a network on un-augmented images."""

from __future__ import annotations

from collections.abc import Callable

import torch
from hscl_kernels import ViewParameters, augment_views
from torch import Tensor

from hscl_fast.device import Execution, encoder_precision
from hscl_fast.method.image_batches import ImageSequence, on_device, slices
from hscl_fast.method.pretrained import InputStatistics


@torch.no_grad()
def run_upright(
    network: Callable[[Tensor], Tensor],
    images: ImageSequence,
    execution: Execution,
    statistics: InputStatistics,
    *,
    batch: int,
    turn: int = 0,
) -> Tensor:
    """Return what a network makes of images as they are.

    Parameters
    ----------
    network
        From views ``[B, 3, H, W]`` to ``[B, ...]``, in evaluation mode.
    images
        uint8 ``[n, H, W, 3]``.
    execution
        Device and precision.
    statistics
        Mean and standard deviation that the images are normalised with, by channel.
    batch
        Images at a time.
    turn
        Quarter turns of all images.

    Returns
    -------
    Tensor
        float32 ``[n, ...]`` on the device.
    """
    found = []
    for pixels in on_device(slices(images, batch), execution.device):
        places = torch.arange(len(pixels), device=pixels.device)
        mean, std = statistics
        views = augment_views(
            pixels,
            ViewParameters.identity(places, places.new_full((len(places),), turn)),
            dtype=execution.precision,
            mean=mean,
            std=std,
        )
        with encoder_precision(execution.device, execution.precision):
            found.append(network(views).float())
    return torch.cat(found)
