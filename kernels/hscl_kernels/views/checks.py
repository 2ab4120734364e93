"""Checks of the inputs of ``augment_views``; every error shows the values that are wrong."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from hscl_kernels.checks import FLOATS, INTEGERS, check_finite
from hscl_kernels.views.parameters import ViewParameters

_CHANNELS = (1, 3)
_TRUTHS = ("flip", "jitter", "contrast_first", "gray", "crop_first")
_INDICES = ("image", "rotation")
_NUMBERS = ("hue", "saturation", "value", "contrast", "crop")


def check_views(images: Tensor, dtype: torch.dtype, backend: str) -> None:
    """Require uint8 ``[B, H, W, C]`` with at least one pixel, and a result that can be computed."""
    shape = list(images.shape)
    if images.dtype != torch.uint8:
        raise TypeError(f"images have dtype {images.dtype}, expected uint8 in [0, 255]")
    if images.dim() != 4 or images.shape[3] not in _CHANNELS:
        raise ValueError(f"images have shape {shape}, expected [B, H, W, C] with C = 1 or 3 (channels last)")
    if 0 in images.shape[1:]:
        raise ValueError(f"images have shape {shape}, expected at least one pixel")
    if dtype not in FLOATS:
        raise TypeError(f"dtype is {dtype}, expected float16, bfloat16, float32 or float64")
    if backend == "triton" and dtype == torch.float64:
        raise TypeError("dtype is torch.float64, which backend 'triton' lacks: use 'reference' or 'cpu'")


def per_channel(name: str, value: float | Sequence[float], channels: int) -> list[float]:
    """Return one number per channel; ``std`` must not be 0."""
    values = [float(value)] * channels if isinstance(value, (int, float)) else [float(one) for one in value]
    if len(values) != channels:
        raise ValueError(f"{name} has {len(values)} values, expected one number, or {channels}: one per channel")
    for one in values:
        check_finite(name, one)
    if name == "std" and not all(values):
        raise ValueError(f"std is {value}, by which the views would be divided: give numbers other than 0, such as 0.5")
    return values


def check_view_parameters(parameters: ViewParameters, images: Tensor) -> None:
    """Require one entry per row in every field, on the images' device."""
    rows = len(parameters.image)
    for name, field in parameters._asdict().items():
        expected = [rows, 4] if name == "crop" else [rows]
        if list(field.shape) != expected:
            raise ValueError(f"parameters.{name} has shape {list(field.shape)}, expected {expected}: one entry per row")
        kinds, words = _kinds(name)
        if field.dtype not in kinds:
            raise TypeError(f"parameters.{name} has dtype {field.dtype}, expected {words}")
        if field.device != images.device:
            raise ValueError(f"parameters.{name} is on {field.device}, images are on {images.device}: move one of them")


def _kinds(name: str) -> tuple[tuple[torch.dtype, ...], str]:
    if name in _TRUTHS:
        return (torch.bool,), "bool"
    return (INTEGERS, "an integer type") if name in _INDICES else ((torch.float32,), "float32")


def check_view_values(parameters: ViewParameters, count: int) -> None:
    """Require indices of existing images and finite numbers. Waits for the device."""
    image = parameters.image
    wrong = image[(image < 0) | (image >= count)]
    if len(wrong):
        raise ValueError(
            f"parameters.image names {wrong[:5].unique().tolist()}, expected indices 0 to {count - 1} of the images"
        )
    for name in _NUMBERS:
        field = getattr(parameters, name)
        wrong = field[~field.isfinite()]
        if len(wrong):
            raise ValueError(f"parameters.{name} holds {wrong[:5].tolist()}, expected finite numbers")
