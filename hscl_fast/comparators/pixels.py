"""Images as rows of pixels, which detectors without a network see."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from hscl_fast.method.image_batches import ImageSequence

Rows = NDArray[np.float32]


def pixel_rows(images: ImageSequence) -> Rows:
    """Return uint8 images ``[n, H, W, 3]`` as float32 rows ``[n, H W 3]`` in [0, 1]."""
    pixels = np.ascontiguousarray(images[0 : len(images)])
    return pixels.reshape(len(pixels), -1).astype(np.float32) / np.float32(255)


def kept_rows(rows: Rows) -> Tensor:
    """Return rows as the uint8 pixels that they were made of, to be saved."""
    return torch.from_numpy(np.rint(rows * np.float32(255)).astype(np.uint8))


def rows_from(kept: Tensor) -> Rows:
    """Return the rows that :func:`kept_rows` was given, bit for bit."""
    rows: Rows = kept.cpu().numpy().astype(np.float32) / np.float32(255)
    return rows
