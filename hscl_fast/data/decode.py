"""Decodes and resizes image files from any source, trusting none of them."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageOps

from hscl_fast.data.bad_images import BadImages
from hscl_fast.data.brightness import to_rgb, values_of
from hscl_fast.data.damage import find_damage
from hscl_fast.data.types import Decoding, LazyImages

# Pillow knows more formats; some of them (EPS) start other programs.
_FORMATS = ("PNG", "JPEG", "BMP", "GIF", "TIFF", "WEBP", "PPM")
_LARGE = 1 << 26  # pixels; of images with more, only one at a time is decoded, since each takes much memory
_OPENING, _LARGE_IMAGE = threading.Lock(), threading.Lock()


def load_images(paths: Sequence[str | Path], decoding: Decoding) -> npt.NDArray[np.uint8]:
    """Decode image files and resize each, whole and antialiased, to a square.

    Parameters
    ----------
    paths
        PNG, JPEG, BMP, GIF (first frame), TIFF, WebP or PNM files, of any mode. EXIF orientation is applied,
        transparency is shown on white.
    decoding
        The side in pixels, where the aspect ratio is not kept, and the scale of values with more than 8 bits.

    Returns
    -------
    uint8 [n, size, size, 3]

    Raises
    ------
    BadImages
        A file is missing, is not a regular file or not a whole image, has too many pixels, or has values without a
        scale or outside of it. The message names every such file and the reason.
    """
    images = np.empty((len(paths), decoding.size, decoding.size, 3), np.uint8)
    try:
        for index, path in enumerate(paths):
            images[index] = load_image(Path(path), decoding)
    except BadImages as error:
        raise BadImages(find_bad_files(paths, decoding) or error.files) from None
    return images


def find_bad_files(paths: Sequence[str | Path], decoding: Decoding) -> list[tuple[str, str]]:
    """Return path and reason of every file that :func:`load_images` refuses."""
    bad: list[tuple[str, str]] = []
    for path in paths:
        try:
            load_image(Path(path), decoding)
        except BadImages as error:
            bad += error.files
    return bad


@dataclass(frozen=True, eq=False)
class ImageFiles:
    """Image files that are decoded on access, each time anew."""

    paths: tuple[Path, ...]
    decoding: Decoding

    def read(self, rows: npt.NDArray[np.int64]) -> npt.NDArray[np.uint8]:
        """Decode some of the files, as :func:`load_images` does."""
        return load_images([self.paths[row] for row in rows], self.decoding)


def lazy_files(paths: Sequence[Path], decoding: Decoding) -> LazyImages:
    """Return image files as images that are decoded on access."""
    return LazyImages(ImageFiles(tuple(paths), decoding), np.arange(len(paths)), decoding.size)


def load_image(path: Path, decoding: Decoding) -> npt.NDArray[np.uint8]:
    """Decode one image file: see :func:`load_images`."""
    return _load(path, decoding, lambda image: _resize(image, decoding.size))


def load_shrunk(path: Path, decoding: Decoding, longest: int) -> npt.NDArray[np.uint8]:
    """Decode one image file for people to look at: at its own aspect ratio, and no larger than it is.

    Parameters
    ----------
    path, decoding
        As for :func:`load_images`; the size does not matter.
    longest
        The most pixels per side.

    Returns
    -------
    uint8 [h, w, 3]

    Raises
    ------
    BadImages
        As in :func:`load_images`.
    """

    def shrink(image: Image.Image) -> Image.Image:
        image.thumbnail((longest, longest), Image.Resampling.BILINEAR, reducing_gap=None)
        return image

    return _load(path, decoding, shrink)


def _load(path: Path, decoding: Decoding, resize: Callable[[Image.Image], Image.Image]) -> npt.NDArray[np.uint8]:
    # os.path returns False where pathlib raises, as for a name that is too long.
    if not os.path.isfile(path):
        if os.path.isdir(path):
            raise _refusal(path, "it is a folder")
        raise _refusal(path, "it is not a regular file" if os.path.exists(path) else "there is no such file")
    try:
        if path.stat().st_size == 0:
            raise ValueError("the file is empty")
        with open_image(path, decoding.max_pixels) as image:
            if (damage := find_damage(path, image, decoding.max_pixels)) is not None:
                raise ValueError(damage)
            with _LARGE_IMAGE if image.width * image.height > _LARGE else nullcontext():
                values = values_of(image)
                rgb = to_rgb(ImageOps.exif_transpose(image), values, decoding)
                return np.asarray(resize(rgb))
    except Image.UnidentifiedImageError:
        raise _refusal(path, "its content is not an image of a known format") from None
    except Exception as error:  # a hostile file makes Pillow's readers raise almost anything
        raise _refusal(path, str(error) or type(error).__name__) from None


def open_image(path: Path, max_pixels: int | None = None) -> Image.Image:
    """Open an image file of which only the header is read.

    Parameters
    ----------
    path
        The file.
    max_pixels
        The limit that takes the place of Pillow's own; None: there is none.

    Raises
    ------
    ValueError
        It has more pixels.
    """
    with _OPENING:  # Pillow's limit, and its warning, are of the whole process
        limit, Image.MAX_IMAGE_PIXELS = Image.MAX_IMAGE_PIXELS, None
        try:
            image = Image.open(path, formats=_FORMATS)
        finally:
            Image.MAX_IMAGE_PIXELS = limit
    if max_pixels is not None and image.width * image.height > max_pixels:
        image.close()
        raise ValueError(
            f"it has {image.width} x {image.height} pixels, more than the {max_pixels // 1_000_000} million of "
            "max_megapixels"
        )
    return image


def read_size(path: Path) -> tuple[int, int] | None:
    """Return width and height of an image file from its header, or None if they cannot be read."""
    try:
        if os.path.isfile(path):
            with open_image(path) as image:
                return image.size
    except Exception:  # as in load_image, which says what is wrong
        pass
    return None


def _refusal(path: Path, reason: str) -> BadImages:
    return BadImages([(str(path), reason)])


def _resize(image: Image.Image, size: int) -> Image.Image:
    if image.size == (size, size):
        return image
    # Pillow's filters widen when shrinking. It rounds between the two passes, whose order is its version's own choice.
    across = image.resize((size, image.height), Image.Resampling.BILINEAR)
    return across.resize((size, size), Image.Resampling.BILINEAR)


def resize_images(images: npt.NDArray[np.uint8], size: int) -> npt.NDArray[np.uint8]:
    """Resize a stack of images, each whole and antialiased, as :func:`load_images` does.

    Parameters
    ----------
    images
        uint8 [n, H, W, 3].
    size
        Side in pixels of the result.

    Returns
    -------
    uint8 [n, size, size, 3]; ``images`` itself where it has that size.
    """
    if images.shape[1:3] == (size, size):
        return images
    resized = np.empty((len(images), size, size, 3), np.uint8)
    for index, image in enumerate(images):
        resized[index] = np.asarray(_resize(Image.fromarray(image), size))
    return resized
