"""Decodes and resizes image files from any source, trusting none of them."""

from __future__ import annotations

import os
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageOps

from hscl_fast.data.bad_images import BadImages
from hscl_fast.data.damage import find_damage
from hscl_fast.data.types import LazyImages

# Pillow knows more formats; some of them (EPS) start other programs.
_FORMATS = ("PNG", "JPEG", "BMP", "GIF", "TIFF", "WEBP", "PPM")
_MAX_PIXELS = 64 * 1024 * 1024
_SIXTEEN_BIT = 65535


def load_images(paths: Sequence[str | Path], size: int) -> npt.NDArray[np.uint8]:
    """Decode image files and resize each, whole and antialiased, to ``size`` x ``size``.

    Parameters
    ----------
    paths
        PNG, JPEG, BMP, GIF (first frame), TIFF, WebP or PNM files, of any mode. EXIF orientation is applied,
        transparency is shown on white, 16-bit grey is scaled to 8 bits; floating-point grey is taken to lie in
        [0, 1] if nothing in the file exceeds 1, else in [0, 255].
    size
        Side in pixels; the aspect ratio is not kept.

    Returns
    -------
    uint8 [n, size, size, 3]

    Raises
    ------
    BadImages
        A file is missing, is not a regular file or not a whole image, or has more than 67 million pixels. The message
        names every such file and the reason.
    """
    images = np.empty((len(paths), size, size, 3), np.uint8)
    try:
        for index, path in enumerate(paths):
            images[index] = load_image(Path(path), size)
    except BadImages as error:
        raise BadImages(find_bad_files(paths, size) or error.files) from None
    return images


def find_bad_files(paths: Sequence[str | Path], size: int) -> list[tuple[str, str]]:
    """Return path and reason of every file that :func:`load_images` refuses."""
    bad: list[tuple[str, str]] = []
    for path in paths:
        try:
            load_image(Path(path), size)
        except BadImages as error:
            bad += error.files
    return bad


@dataclass(frozen=True, eq=False)
class ImageFiles:
    """Image files that are decoded on access, each time anew."""

    paths: tuple[Path, ...]
    size: int

    def read(self, rows: npt.NDArray[np.int64]) -> npt.NDArray[np.uint8]:
        """Decode some of the files, as :func:`load_images` does."""
        return load_images([self.paths[row] for row in rows], self.size)


def lazy_files(paths: Sequence[Path], size: int) -> LazyImages:
    """Return image files as images of ``size`` x ``size`` that are decoded on access."""
    return LazyImages(ImageFiles(tuple(paths), size), np.arange(len(paths)), size)


def load_image(path: Path, size: int) -> npt.NDArray[np.uint8]:
    """Decode one image file: see :func:`load_images`."""
    # os.path returns False where pathlib raises, as for a name that is too long.
    if not os.path.isfile(path):
        if os.path.isdir(path):
            raise _refusal(path, "it is a folder")
        raise _refusal(path, "it is not a regular file" if os.path.exists(path) else "there is no such file")
    if path.stat().st_size == 0:
        raise _refusal(path, "the file is empty")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error", Image.DecompressionBombWarning)
            with Image.open(path, formats=_FORMATS) as image:
                if image.width * image.height > _MAX_PIXELS:
                    raise ValueError(f"it has {image.width} x {image.height} pixels, more than {_MAX_PIXELS}")
                if (damage := find_damage(path, image, _MAX_PIXELS)) is not None:
                    raise ValueError(damage)
                rgb = _to_rgb(ImageOps.exif_transpose(image))
                return np.asarray(_resize(rgb, size))
    except Image.UnidentifiedImageError:
        raise _refusal(path, "its content is not an image of a known format") from None
    except Exception as error:  # a hostile file makes Pillow's readers raise almost anything
        raise _refusal(path, str(error) or type(error).__name__) from None


def read_size(path: Path) -> tuple[int, int] | None:
    """Return width and height of an image file from its header, or None if they cannot be read."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", Image.DecompressionBombWarning)
            if os.path.isfile(path):
                with Image.open(path, formats=_FORMATS) as image:
                    return image.size
    except Exception:  # as in load_image, which says what is wrong
        pass
    return None


def _refusal(path: Path, reason: str) -> BadImages:
    return BadImages([(str(path), reason)])


def _to_rgb(image: Image.Image) -> Image.Image:
    if image.mode == "I" or image.mode.startswith("I;16"):
        return _integers_to_rgb(np.asarray(image).astype(np.int64))
    if image.mode == "F":
        return _floats_to_rgb(np.asarray(image).astype(np.float64))
    if image.has_transparency_data:
        # The colours of transparent pixels are arbitrary and must not reach the model.
        rgba = image.convert("RGBA")
        return Image.alpha_composite(Image.new("RGBA", rgba.size, "white"), rgba).convert("RGB")
    return image.convert("RGB")


def _integers_to_rgb(grey: npt.NDArray[np.int64]) -> Image.Image:
    if grey.min() < 0 or grey.max() > _SIXTEEN_BIT:
        raise ValueError(f"its values span {grey.min()} to {grey.max()}, expected 16 bits, 0 to {_SIXTEEN_BIT}")
    return Image.fromarray(((grey * 255 + _SIXTEEN_BIT // 2) // _SIXTEEN_BIT).astype(np.uint8)).convert("RGB")


def _floats_to_rgb(grey: npt.NDArray[np.float64]) -> Image.Image:
    if not np.isfinite(grey).all() or grey.min() < 0 or grey.max() > 255:
        raise ValueError(f"its values span {grey.min()} to {grey.max()}, expected 0 to 1 or 0 to 255")
    scale = 255 if grey.max() <= 1 else 1
    return Image.fromarray(np.rint(grey * scale).astype(np.uint8)).convert("RGB")


def _resize(image: Image.Image, size: int) -> Image.Image:
    if image.size == (size, size):
        return image
    return image.resize((size, size), Image.Resampling.BILINEAR)  # Pillow's filters widen when shrinking


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
