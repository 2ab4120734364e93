"""Images as rows of pixels, which detectors without a network see."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from hscl_fast.method.image_batches import ImageSequence, slices

Rows = NDArray[np.float32]

LARGEST_SIDE = 32  # pixels; larger images are averaged down to the size that the publications have
_CHUNK = 256  # images averaged down at a time, to bound the float copies


def pixel_rows(images: ImageSequence) -> Rows:
    """Return uint8 images ``[n, H, W, 3]`` as float32 rows ``[n, h w 3]`` in [0, 1], with h and w at most 32.

    Averages are rounded to whole pixel values.
    """
    chunks = [_at_most(chunk).reshape(len(chunk), -1) for chunk in slices(images, _CHUNK)]
    pixels = np.concatenate(chunks) if chunks else np.zeros((0, 0), np.uint8)
    return pixels.astype(np.float32) / np.float32(255)


def kept_rows(rows: Rows) -> Tensor:
    """Return rows as the uint8 pixels that they were made of, to be saved."""
    return torch.from_numpy(np.rint(rows * np.float32(255)).astype(np.uint8))


def rows_from(kept: Tensor) -> Rows:
    """Return the rows that :func:`kept_rows` was given, bit for bit."""
    rows: Rows = kept.cpu().numpy().astype(np.float32) / np.float32(255)
    return rows


def _at_most(images: NDArray[np.uint8]) -> NDArray[np.uint8]:
    height, width = (min(side, LARGEST_SIDE) for side in images.shape[1:3])
    if (height, width) == images.shape[1:3]:
        return np.ascontiguousarray(images)
    pixels = torch.from_numpy(np.ascontiguousarray(images)).permute(0, 3, 1, 2).float()
    small = functional.interpolate(pixels, size=(height, width), mode="area").round()
    averaged: NDArray[np.uint8] = small.to(torch.uint8).permute(0, 2, 3, 1).numpy()
    return averaged
