"""``augment_views``: the public function, and the torch.library operation behind it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from hscl_kernels.backends import Backend, resolve
from hscl_kernels.registration import operation
from hscl_kernels.views import cpu, reference
from hscl_kernels.views.checks import check_view_parameters, check_view_values, check_views, per_channel
from hscl_kernels.views.parameters import ViewParameters


def augment_views(
    images: Tensor,
    parameters: ViewParameters,
    *,
    dtype: torch.dtype = torch.float32,
    mean: float | Sequence[float] = 0.5,
    std: float | Sequence[float] = 0.5,
    backend: Backend = "auto",
) -> Tensor:
    """Return one augmented, normalised view for every row of ``parameters``.

    Flip, quarter turn, colour jitter (contrast against the channel's mean, and hue, saturation, value), grey, and crop
    by bilinear sampling; rows with ``crop_first`` crop before the colours. A quarter turn of an image that is not
    square is stretched back to H x W. Source: the augmentation layers of CSI, which the released HSCL code uses.

    Parameters
    ----------
    images
        uint8 ``[B, H, W, C]``, C = 3 (red, green, blue) or 1 (grey: jittered as red, green and blue alike would be).
    parameters
        The image that each of the ``rows`` views shows, and what is done to it.
    dtype
        dtype of the result: float32, float16, bfloat16 or (not on Triton) float64. The arithmetic is float32, for
        float64 it is float64.
    mean, std
        The views are (x - mean) / std with x in [0, 1]; one number, or one per channel.
    backend
        ``auto`` (``triton`` on a GPU, ``cpu`` on the CPU), ``reference``, ``cpu`` or ``triton``.

    Returns
    -------
    Tensor
        ``[rows, C, H, W]``, channels_last. It has no gradient.

    Raises
    ------
    ValueError, TypeError
        Wrong shapes, devices or dtypes; the message shows them. A row whose ``image`` does not exist, or with a number
        that is not finite, raises on the CPU and is NaN on a GPU, where looking would wait for the device.

    Examples
    --------
    >>> import torch
    >>> image = torch.full((1, 2, 2, 1), 255, dtype=torch.uint8)
    >>> augment_views(image, ViewParameters.identity(torch.tensor([0, 0]))).shape  # two views of one grey image
    torch.Size([2, 1, 2, 2])
    """
    form = resolve(backend, images.device)
    check_views(images, dtype, form)
    check_view_parameters(parameters, images)
    means, stds = (per_channel(name, value, images.shape[3]) for name, value in (("mean", mean), ("std", std)))
    return _augment_views(images, *parameters, dtype, means, stds, form)


def _empty(images: Tensor, rows: int, dtype: torch.dtype) -> Tensor:
    _, height, width, channels = images.shape
    shape = (rows, channels, height, width)
    return torch.empty(shape, dtype=dtype, device=images.device, memory_format=torch.channels_last)


def _fake(images: Tensor, image: Tensor, *rest: Any) -> Tensor:
    return _empty(images, image.shape[0], rest[-4])


@operation("augment_views", fake=_fake)
def _augment_views(
    images: Tensor,
    image: Tensor,
    flip: Tensor,
    rotation: Tensor,
    jitter: Tensor,
    contrast_first: Tensor,
    hue: Tensor,
    saturation: Tensor,
    value: Tensor,
    contrast: Tensor,
    gray: Tensor,
    crop: Tensor,
    crop_first: Tensor,
    dtype: torch.dtype,
    mean: list[float],
    std: list[float],
    backend: str,
) -> Tensor:
    if not len(image):
        return _empty(images, 0, dtype)
    parameters = ViewParameters(
        image, flip, rotation, jitter, contrast_first, hue, saturation, value, contrast, gray, crop, crop_first
    )
    if images.device.type == "cpu":
        check_view_values(parameters, len(images))
    if backend == "triton":
        from hscl_kernels.views import triton_form as form
    else:
        form = cpu if backend == "cpu" else reference
    return form.augment_views(images, parameters, dtype=dtype, mean=mean, std=std)
