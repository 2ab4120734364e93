"""Draws the parameters of training views as a pure function of (seed, step, image).

The distributions are those of the released code's layers, with the numbers of the view policy.
Row order: ``row = (view * R + rotation) * B + image``.
"""

from __future__ import annotations

from typing import Final

import torch
from hscl_kernels import ViewDistribution, ViewParameters, draw_view_parameters
from hscl_kernels.backends import Backend
from torch import Tensor

from hscl_fast.config.sections import AugmentConfig

VIEWS = 2
ROTATIONS: Final = 4  # quarter turns


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
    # All forms draw the same numbers, so the device may choose, unless nothing but plain PyTorch is wanted.
    backend: Backend = "reference" if config.backend == "reference" else "auto"
    return draw_view_parameters(
        indices,
        ViewDistribution(**vars(config.numbers)),
        seed=seed,
        step=step,
        size=size,
        views=views,
        rotations=config.rotations,
        backend=backend,
    )


def instance_ids(batch: int, device: torch.device, rotations: int = ROTATIONS) -> Tensor:
    """Return int64 ``[V * R * batch]``: two rows are positives of each other iff their ids are equal."""
    return torch.arange(rotations * batch, device=device).repeat(VIEWS)
