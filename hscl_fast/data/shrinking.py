"""Warns where a user's images are made so small that what is looked for in them may vanish."""

from __future__ import annotations

import numpy as np

from hscl_fast.data.decode import ImageFiles, read_size
from hscl_fast.data.types import AnyImages, LazyImages, Remark

_SAMPLE = 64  # files whose sizes are read
_HARMLESS = 4  # times that an image may be shrunk
_LARGEST = 1024  # --data.image_size


def remark_on_shrinking(images: AnyImages, size: int) -> tuple[Remark, ...]:
    """Return a doubt if most images are more than four times as long as the side that they are resized to.

    Parameters
    ----------
    images
        In files, of which the sizes of up to 64, evenly spread, are read; or in an array at their own size. A
        ``.beton`` does not have the sizes of the images that it was made of.
    size
        The side in pixels.
    """
    found = median_size(images)
    if found is None:
        return ()
    width, height = found
    longer = max(width, height)
    if longer <= _HARMLESS * size:
        return ()
    enough = 1 << (-(-longer // _HARMLESS) - 1).bit_length()  # a power of two at which they are shrunk fourfold or less
    better = min(enough, _HARMLESS * size, _LARGEST)
    advice = f"; try --data.image_size {better}" if better > size else ""
    return (
        Remark(
            f"images of {width}x{height} px (the median) are shrunk {longer / size:.3g}-fold to {size} px: small "
            f"defects vanish{advice}",
            doubt=True,
        ),
    )


def median_size(images: AnyImages) -> tuple[int, int] | None:
    """Return width and height of the image with the median longer side, before any resizing.

    Of images in files, those of up to 64, evenly spread, are read; of an array, its own. None where nothing is known.
    """
    widths_and_heights = _sizes(images)
    if not widths_and_heights:
        return None
    return sorted(widths_and_heights, key=max)[(len(widths_and_heights) - 1) // 2]


def _sizes(images: AnyImages) -> list[tuple[int, int]]:
    if not isinstance(images, LazyImages):
        return [(images.shape[2], images.shape[1])] if len(images) else []
    if not isinstance(images.reader, ImageFiles) or not len(images):
        return []
    chosen = np.linspace(0, len(images) - 1, min(_SAMPLE, len(images))).round().astype(int)
    found = (read_size(images.reader.paths[row]) for row in images.rows[chosen])
    return [pair for pair in found if pair is not None]
