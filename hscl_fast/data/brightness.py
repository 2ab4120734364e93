"""How the values of an image become 8 bits per colour: the same way for every image of a data set."""

from __future__ import annotations

from typing import Any, Literal

import numpy as np
import numpy.typing as npt
from PIL import Image

from hscl_fast.data.types import Decoding

# ``bytes`` have 8 bits or fewer, ``scaled`` are integers that the file itself gives the scale of; the others need one.
Values = Literal["bytes", "scaled", "integers", "colours", "floats"]

SIXTEEN_BITS = 16
_LARGEST_16 = 65535
_BITS_PER_SAMPLE = 258  # tag of TIFF
_BAND = 1 << 20  # values that are converted at a time

_ALL_BYTES = "so it is not known which value is white: the images to train on have 8 bits per value"


def values_of(image: Image.Image) -> Values:
    """Return what the values of an image are; it must not have been loaded."""
    if image.mode == "F":
        return "floats"
    largest = _stated_largest(image)
    if image.mode == "I" or image.mode.startswith("I;16"):
        return "integers" if largest in (None, _LARGEST_16) else "scaled"
    return "colours" if _bits(image, largest) > 8 else "bytes"


def largest_value(image: Image.Image, values: Values) -> float:
    """Return the largest value of an image.

    Of ``colours`` Pillow keeps the upper 8 bits, so the largest value that the file may have.
    """
    if values == "colours":
        bands = zip(image.getbands(), image.split(), strict=True)
        upper = max(int(np.asarray(band).max()) for name, band in bands if name != "A")
        return upper << 8 | 255
    return float(np.asarray(image).max())


def to_rgb(image: Image.Image, values: Values, decoding: Decoding) -> Image.Image:
    """Return an image with 8 bits per colour.

    Raises
    ------
    ValueError
        Its values need a scale that ``decoding`` does not have, or leave it.
    """
    if values == "floats":
        return _floats(np.asarray(image), decoding.float_white)
    if values == "scaled":
        return _integers(np.asarray(image), SIXTEEN_BITS)
    if values == "integers":
        return _integers(np.asarray(image), decoding.bit_depth)
    if values == "colours":
        _require_upper_bits(decoding.bit_depth)
    if image.has_transparency_data:
        # The colours of transparent pixels are arbitrary and must not reach the model.
        rgba = image.convert("RGBA")
        return Image.alpha_composite(Image.new("RGBA", rgba.size, "white"), rgba).convert("RGB")
    return image.convert("RGB")


def _stated_largest(image: Image.Image) -> int | None:
    """Return the largest value that the header of a PNM file allows, where Pillow scales by it."""
    arguments: Any = image.tile[0].args if image.format == "PPM" and getattr(image, "tile", None) else None  # type: ignore[attr-defined]
    return arguments[1] if isinstance(arguments, tuple) and len(arguments) == 2 else None


def _bits(image: Image.Image, stated_largest: int | None) -> int:
    """Return the bits per colour that the file has."""
    if image.format == "PNG":
        rawmode = image.tile[0].args if image.tile else ""  # type: ignore[attr-defined]
        return 16 if str(rawmode).endswith("16B") else 8
    if image.format == "TIFF":
        bits = image.tag_v2.get(_BITS_PER_SAMPLE, 8)  # type: ignore[attr-defined]
        return max(bits) if isinstance(bits, tuple) else bits
    return 16 if stated_largest == _LARGEST_16 else 8


def _require_upper_bits(bit_depth: int | None) -> None:
    if bit_depth is None:
        raise ValueError(f"it has 16 bits per colour, {_ALL_BYTES}")
    if bit_depth < SIXTEEN_BITS:
        raise ValueError(
            f"it has 16 bits per colour, of which only the upper 8 can be read, but bit_depth is {bit_depth}: convert "
            "it to 8 bits per colour, or give bit_depth 16 if its colours span 16 bits"
        )


def _integers(grey: npt.NDArray[Any], bit_depth: int | None) -> Image.Image:
    low, high = int(grey.min()), int(grey.max())
    if bit_depth is None:
        raise ValueError(f"its values span {low} to {high}, {_ALL_BYTES}")
    white = 2**bit_depth - 1
    if low < 0 or high > white:
        raise ValueError(f"its values span {low} to {high}, expected 0 to {white} (bit_depth {bit_depth})")
    result = np.empty(grey.shape, np.uint8)
    for rows in _bands(grey.shape):
        result[rows] = (grey[rows].astype(np.int64) * 255 + white // 2) // white
    return Image.fromarray(result).convert("RGB")


def _floats(grey: npt.NDArray[Any], white: float | None) -> Image.Image:
    low, high = float(grey.min()), float(grey.max())
    if white is None:
        raise ValueError(f"its values span {low} to {high} in floating point, {_ALL_BYTES}")
    if not np.isfinite(grey).all() or low < 0 or high > white:
        raise ValueError(f"its values span {low} to {high}, expected 0 to {white:g} (float_white)")
    result = np.empty(grey.shape, np.uint8)
    for rows in _bands(grey.shape):
        result[rows] = np.rint(grey[rows].astype(np.float64) * (255 / white))
    return Image.fromarray(result).convert("RGB")


def _bands(shape: tuple[int, ...]) -> list[slice]:
    """Return bands of rows that are converted one by one, since 64-bit values take eight times the memory."""
    count = max(1, _BAND // shape[1])
    return [slice(first, first + count) for first in range(0, shape[0], count)]
