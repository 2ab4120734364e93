"""A user's images as arrays: what is accepted, and how almost right ones are converted."""

from __future__ import annotations

import numpy as np

from hscl_fast.data.types import Images
from hscl_fast.errors import UsageError

SHAPES = "uint8 [n, H, W], [n, H, W, 1] or [n, H, W, 3]"


def check_images(images: np.ndarray, name: str, expected: str) -> Images:
    """Return images as uint8 [n, H, W, 3]; grey ones get three equal channels.

    Parameters
    ----------
    images
        As ``SHAPES`` says.
    name
        What the user calls them.
    expected
        What is expected, for the error.

    Raises
    ------
    UsageError
        They have another type or shape.
    """
    shaped = images[..., None] if images.ndim == 3 else images
    if shaped.dtype != np.uint8 or shaped.ndim != 4 or shaped.shape[3] not in (1, 3) or 0 in shaped.shape[1:]:
        found = f"{images.dtype} {list(images.shape)}"
        raise UsageError(f"{name} is {found}.{_conversion(shaped, name)} Expected {expected}.")
    return np.repeat(shaped, 3, axis=3) if shaped.shape[3] == 1 else shaped


def _conversion(images: np.ndarray, name: str) -> str:
    """Say how to convert what is almost right."""
    if images.ndim == 4 and images.shape[1] in (1, 3) and images.shape[3] not in (1, 3):
        return f" Move the channels to the end with {name}.transpose(0, 2, 3, 1)."
    if images.dtype.kind == "f" and images.size and images.min() >= 0 and images.max() <= 1:
        return f" Convert it with (255 * {name}).round().astype('uint8')."
    return ""
