"""Heavily distorted images, which stand for anomalies where none may be looked at (Elsa's early stop)."""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
from hscl_kernels.philox import random_uniforms
from torch import Tensor
from torchvision.transforms.v2 import functional as tv

_STREAM = 18  # of the counter-based generator
_LEFT_OUT = 1  # of the 13 operations, another one for each image
_CHANCE = 0.8
_STRENGTHS = (1, 2, 3, 4)  # in tenths of the greatest
_CUT = 0.2  # of the side
_GREY = 127

Operation = Callable[[Tensor, float, float], Tensor]  # image, strength in [0, 1], sign


def _warp(
    image: Tensor, *, right: float = 0.0, down: float = 0.0, shear_x: float = 0.0, shear_y: float = 0.0
) -> Tensor:
    side = image.shape[-1]
    moved: Tensor = tv.affine(
        image,
        angle=0.0,
        translate=[round(right * side), round(down * side)],
        scale=1.0,
        shear=[math.degrees(math.atan(shear_x)), math.degrees(math.atan(shear_y))],
        fill=[float(_GREY)] * len(image),
    )
    return moved


# RandAugment's operations and greatest strengths for small images, without the rotation.
OPERATIONS: dict[str, Operation] = {
    "identity": lambda image, strength, sign: image,
    "autocontrast": lambda image, strength, sign: tv.autocontrast(image),
    "equalize": lambda image, strength, sign: tv.equalize(image),
    "brightness": lambda image, strength, sign: tv.adjust_brightness(image, 0.05 + 0.9 * strength),
    "colour": lambda image, strength, sign: tv.adjust_saturation(image, 0.05 + 0.9 * strength),
    "contrast": lambda image, strength, sign: tv.adjust_contrast(image, 0.05 + 0.9 * strength),
    "sharpness": lambda image, strength, sign: tv.adjust_sharpness(image, 0.05 + 0.9 * strength),
    "posterize": lambda image, strength, sign: tv.posterize(image, 4 + int(4 * strength)),
    "solarize": lambda image, strength, sign: tv.solarize(image, 256 * (1 - strength)),
    "shear_x": lambda image, strength, sign: _warp(image, shear_x=0.3 * sign * strength),
    "shear_y": lambda image, strength, sign: _warp(image, shear_y=0.3 * sign * strength),
    "translate_x": lambda image, strength, sign: _warp(image, right=0.3 * sign * strength),
    "translate_y": lambda image, strength, sign: _warp(image, down=0.3 * sign * strength),
}


def distort(images: Tensor, *, seed: Tensor) -> Tensor:
    """Return images after 12 of 13 operations in random order, each four times out of five, with a square cut out.

    Parameters
    ----------
    images
        uint8 ``[n, S, S, 3]`` on the CPU.
    seed
        int64 scalar; an image's distortions depend on it and on the image's place.

    Returns
    -------
    Tensor
        uint8 ``[n, S, S, 3]``.
    """
    count = len(OPERATIONS)
    index = torch.arange(len(images))
    u = random_uniforms(seed, torch.zeros_like(seed), index, torch.zeros_like(index), 4 * count + 2, stream=_STREAM)
    draws = u[: 4 * count].view(4, count, -1).permute(2, 0, 1)  # [n, 4, 13]
    distorted = [_distorted(image.permute(2, 0, 1), draw) for image, draw in zip(images, draws, strict=True)]
    found = torch.stack(distorted).permute(0, 2, 3, 1).contiguous()
    side = images.shape[1]
    size = max(1, round(_CUT * side))
    for image, down, right in zip(found, *(((side - size + 1) * u[-2:]).long().tolist()), strict=True):
        image[down : down + size, right : right + size] = _GREY
    return found


def _distorted(image: Tensor, draw: Tensor) -> Tensor:
    """Return an image ``[3, S, S]`` after operations by ``draw [4, 13]``: order, chance, strength and sign of each."""
    order, chance, strength, sign = draw
    operations = [*OPERATIONS.values()]
    for number in order.argsort()[_LEFT_OUT:].tolist():
        if chance[number] < _CHANCE:
            tenths = _STRENGTHS[int(len(_STRENGTHS) * strength[number])]
            image = operations[number](image, tenths / 10, 1.0 if sign[number] < 0.5 else -1.0)
    return image
