"""The table from which every form of ``augment_views`` reads what to do with each row."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor


class ViewParameters(NamedTuple):
    """One entry per output row; every field is a tensor ``[rows]``, ``crop`` is ``[rows, 4]``.

    Parameters
    ----------
    image
        int64, the row's source among the images given.
    flip
        bool, mirror left and right (first of all).
    rotation
        int64, quarter turns counter-clockwise (after the flip).
    jitter
        bool, whether the colour factors below apply.
    contrast_first
        bool, contrast before hue, saturation and value rather than after.
    hue
        float32, shift of the hue in the released code's unit: a factor f turns it by f * 255 / 360.
    saturation, value, contrast
        float32 factors; 1 changes nothing.
    gray
        bool, turn grey (after the jitter).
    crop
        float32 (w, h, w_bias, h_bias) in the affine sampling's units: sizes as shares of the image in (0, 1], and
        offsets of the centre in half-images, |bias| <= 1 - size. What lies beyond the image is its mirror image.
    crop_first
        bool, crop before jitter and grey, so that contrast is against the crop's mean, rather than last of all.
    """

    image: Tensor
    flip: Tensor
    rotation: Tensor
    jitter: Tensor
    contrast_first: Tensor
    hue: Tensor
    saturation: Tensor
    value: Tensor
    contrast: Tensor
    gray: Tensor
    crop: Tensor
    crop_first: Tensor

    @classmethod
    def empty(cls, rows: int, device: torch.device) -> ViewParameters:
        """Return parameters without values, to be written."""
        truths = ("flip", "jitter", "contrast_first", "gray", "crop_first")
        dtypes = dict.fromkeys(truths, torch.bool) | dict.fromkeys(("image", "rotation"), torch.int64)

        def field(name: str) -> Tensor:
            shape = (rows, 4) if name == "crop" else (rows,)
            return torch.empty(shape, dtype=dtypes.get(name, torch.float32), device=device)

        return cls(*map(field, cls._fields))

    @classmethod
    def identity(cls, image: Tensor, rotation: Tensor | None = None) -> ViewParameters:
        """Return the parameters that leave the images ``image`` (int64 ``[rows]``) as they are, but for a rotation."""
        never = torch.zeros_like(image, dtype=torch.bool)
        one = torch.ones(len(image), dtype=torch.float32, device=image.device)
        return cls(
            image=image,
            flip=never,
            rotation=torch.zeros_like(image) if rotation is None else rotation,
            jitter=never,
            contrast_first=never,
            hue=torch.zeros_like(one),
            saturation=one,
            value=one,
            contrast=one,
            gray=never,
            crop=torch.tensor([1.0, 1.0, 0.0, 0.0], device=image.device).repeat(len(image), 1),
            crop_first=never,
        )
