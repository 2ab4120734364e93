"""``draw_view_parameters``: the public function, and the torch.library operation behind it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from hscl_kernels.backends import Backend, resolve
from hscl_kernels.draws import reference
from hscl_kernels.draws.distribution import ViewDistribution
from hscl_kernels.draws.numbers import TURNS
from hscl_kernels.registration import operation
from hscl_kernels.views.parameters import ViewParameters

# The fields of ViewParameters.
_Twelve = tuple[Tensor, Tensor, Tensor, Tensor, Tensor, Tensor, Tensor, Tensor, Tensor, Tensor, Tensor, Tensor]


def draw_view_parameters(
    indices: Tensor,
    distribution: ViewDistribution | None = None,
    *,
    seed: Tensor,
    step: Tensor,
    size: tuple[int, int],
    views: int = 2,
    rotations: int = TURNS,
    backend: Backend = "auto",
) -> ViewParameters:
    """Draw the parameters of V x R rotated views of every image, as a pure function of (seed, step, image).

    The numbers come from Philox4x32-10 (:mod:`hscl_kernels.philox`), so they are the same on every device, in any
    batch and after every resume; a view does not depend on R, the rows of fewer rotations are some of those of four.
    Row order: ``row = (view * R + rotation) * B + image``. Nothing waits for the device. On a GPU it is one launch.

    Parameters
    ----------
    indices
        int64 ``[B]``, the index of each image in the data set, below 2**32. An image's randomness depends on this
        index, not on its place in the batch.
    distribution
        Probabilities and ranges; by default those of the released code.
    seed, step
        int64 scalars on the device of ``indices``.
    size
        (H, W) of the images in pixels.
    views
        V, the number of views, at most 16384.
    rotations
        R, copies of each view: 4 have every quarter turn, 1 is upright, and 2 are upright and one drawn quarter turn,
        the same in all views of the image; 3 have 0, 1 and 2 quarter turns.
    backend
        ``auto`` (``triton`` on a GPU, ``cpu`` on the CPU), ``reference``, ``cpu`` (the reference, which takes 0.3 % of
        a training step there) or ``triton``.

    Returns
    -------
    ViewParameters
        ``V * R * B`` rows; ``image`` is the place in the batch. Crops are in whole pixels and inside the image.

    Raises
    ------
    ValueError, TypeError
        Wrong shapes, devices, dtypes or numbers; the message shows them.

    Examples
    --------
    >>> import torch
    >>> zero = torch.tensor(0)
    >>> parameters = draw_view_parameters(torch.tensor([7, 8]), seed=zero, step=zero, size=(32, 32))
    >>> parameters.rotation
    tensor([0, 0, 1, 1, 2, 2, 3, 3, 0, 0, 1, 1, 2, 2, 3, 3])
    """
    form = resolve(backend, indices.device)
    _check(indices, seed, step, size, views, rotations)
    own = ViewDistribution() if distribution is None else distribution
    numbers = (*own[:-2], list(own.crop_area), list(own.crop_ratio))
    return ViewParameters(*_draw_view_parameters(indices, seed, step, *size, views, rotations, *numbers, form))


def _check(indices: Tensor, seed: Tensor, step: Tensor, size: tuple[int, int], views: int, rotations: int) -> None:
    if indices.dim() != 1 or indices.dtype != torch.int64:
        raise TypeError(f"indices is {indices.dtype} {list(indices.shape)}, expected torch.int64 [B]")
    for name, scalar in (("seed", seed), ("step", step)):
        if scalar.dim() or scalar.dtype != torch.int64:
            raise TypeError(f"{name} is {scalar.dtype} {list(scalar.shape)}, expected a torch.int64 scalar")
        if scalar.device != indices.device:
            raise ValueError(f"{name} is on {scalar.device}, indices are on {indices.device}: move one of them")
    if not 1 <= rotations <= TURNS:
        raise ValueError(f"rotations is {rotations}, expected 1 to {TURNS}")
    if not 1 <= views <= 2**14:
        raise ValueError(f"views is {views}, expected 1 to {2**14}")
    if min(size) < 1:
        raise ValueError(f"size is {tuple(size)}, expected (height, width) of at least one pixel")


def _fake(indices: Tensor, *rest: Any) -> ViewParameters:
    views, rotations = rest[4:6]
    return ViewParameters.empty(views * rotations * indices.shape[0], indices.device)


@operation("draw_view_parameters", fake=_fake)
def _draw_view_parameters(
    indices: Tensor,
    seed: Tensor,
    step: Tensor,
    height: int,
    width: int,
    views: int,
    rotations: int,
    crop_first: bool,
    flip_probability: float,
    jitter_probability: float,
    gray_probability: float,
    brightness: float,
    contrast: float,
    saturation: float,
    hue: float,
    crop_area: list[float],
    crop_ratio: list[float],
    backend: str,
) -> _Twelve:
    distribution = ViewDistribution(
        crop_first,
        flip_probability,
        jitter_probability,
        gray_probability,
        brightness,
        contrast,
        saturation,
        hue,
        (crop_area[0], crop_area[1]),
        (crop_ratio[0], crop_ratio[1]),
    )
    if not indices.shape[0]:
        return ViewParameters.empty(0, indices.device)
    draw, size = _form(backend), (height, width)
    return draw(indices, distribution, seed=seed, step=step, size=size, views=views, rotations=rotations)


def _form(backend: str) -> Callable[..., ViewParameters]:
    if backend == "triton":
        from hscl_kernels.draws import triton_form

        return triton_form.draw_view_parameters
    return reference.draw_view_parameters
