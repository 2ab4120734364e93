"""Weak views: a horizontal flip and a shift by a few pixels, as classifiers of small images are trained with."""

from __future__ import annotations

from dataclasses import replace

import torch
from hscl_kernels import ViewParameters
from hscl_kernels.philox import random_uniforms
from torch import Tensor

from hscl_fast.config.sections import AugmentConfig

_STREAM = 16  # of the counter-based generator
_LARGEST_SHIFT = 1 / 8  # of the side: 4 of 32 pixels
_SMALLEST_CROP = 0.54


def draw_weak_views(indices: Tensor, *, seed: Tensor, step: Tensor, side: int, views: int = 1) -> ViewParameters:
    """Draw a flip (half of the time) and a shift by whole pixels, up to an eighth of the side each way, of every image.

    What a shift brings in from beyond the border is the image's mirror image.

    Parameters
    ----------
    indices
        int64 ``[B]``, the index of each image in the training set, on which its draws depend.
    seed, step
        int64 scalars on the same device.
    side
        S, of the square images, in pixels.
    views
        V, different views of every image.

    Returns
    -------
    ViewParameters
        ``V * B`` rows, view by view; ``image`` is the place in the batch.
    """
    places = torch.arange(len(indices), device=indices.device).repeat(views)
    copies = torch.arange(views, device=indices.device).repeat_interleave(len(indices))
    flip, right, down = random_uniforms(seed, step, indices.repeat(views), copies, 3, stream=_STREAM)
    most = round(_LARGEST_SHIFT * side)
    shifts = torch.stack([((2 * most + 1) * u).floor() - most for u in (right, down)], dim=1) * (2 / side)
    crop = torch.cat((torch.ones_like(shifts), shifts), dim=1).float()
    return ViewParameters.identity(places)._replace(flip=flip < 0.5, crop=crop)


def crop54(augment: AugmentConfig) -> AugmentConfig:
    """Return a view policy with larger crops, of 0.54 to 1 of the area (Elsa)."""
    return replace(augment, crop_area=(_SMALLEST_CROP, 1.0))
