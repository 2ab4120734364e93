"""Finds the scale of images with more than 8 bits per value: once for a whole data set, so that all of it is alike."""

from __future__ import annotations

import math
import os
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path

from hscl_fast.config.sections import DataConfig
from hscl_fast.data.brightness import SIXTEEN_BITS, Values, largest_value, values_of
from hscl_fast.data.damage import find_damage
from hscl_fast.data.decode import open_image
from hscl_fast.data.types import Decoding, Remark
from hscl_fast.errors import UsageError

_DEPTHS = (8, 10, 12, 14, 16, 20, 24, 32)  # of cameras and files
_WHITES = (1.0, 255.0)  # of floating-point images
_AT_A_TIME = 64  # files


@dataclass(frozen=True)
class _File:
    """A file whose values need a scale, and the bits of its container."""

    path: Path
    values: Values
    bits: int


def resolve_decoding(
    config: DataConfig, size: int, train: Sequence[Path], test: Sequence[Path]
) -> tuple[Decoding, tuple[Remark, ...]]:
    """Return how the files of a data set are decoded, and what was assumed.

    Where ``bit_depth`` or ``float_white`` is unset, the smallest usual one that holds every value of the images to
    train on is taken. Files that cannot be read are left out here; reading them fails later.

    Parameters
    ----------
    config
        ``bit_depth``, ``float_white`` and ``max_megapixels`` are used.
    size
        The side in pixels.
    train, test
        The files. Those to test on do not take part in the choice.

    Raises
    ------
    UsageError
        A file to test on has values that do not fit the choice, or no usual scale holds those to train on.
    """
    decoding = Decoding(size, config.bit_depth, config.float_white, config.max_megapixels)
    if config.bit_depth is not None and config.float_white is not None:
        return decoding, ()
    remarks: list[Remark] = []
    trained, tested = _scaled_files(train), _scaled_files(test)
    if config.bit_depth is None:
        files, others = ([file for file in part if file.values != "floats"] for part in (trained, tested))
        decoding = replace(decoding, bit_depth=_depth(files, others, len(train), decoding, remarks))
    if config.float_white is None:
        files, others = ([file for file in part if file.values == "floats"] for part in (trained, tested))
        decoding = replace(decoding, float_white=_white(files, others, len(train), decoding, remarks))
    return decoding, tuple(remarks)


def with_scale(config: DataConfig, decoding: Decoding | None) -> DataConfig:
    """Return the configuration with the scale that was found, so that it is applied again and not found again."""
    if decoding is None:
        return config
    return replace(config, bit_depth=decoding.bit_depth, float_white=decoding.float_white)


def _depth(
    files: list[_File], others: list[_File], total: int, decoding: Decoding, remarks: list[Remark]
) -> int | None:
    path, largest = _largest(files, decoding)
    depth = None if path is None else _holding(largest)
    tested, value = _largest(others, decoding)
    if tested is not None and (depth is None or value >= 2**depth):
        raise _unlike(tested, f"{value:,.0f}", "bit_depth", depth, _holding(value))
    if depth is not None:
        remarks.append(
            Remark(
                f"{len(files):,} of the {total:,} files to train on have more than 8 bits per value: read as {depth} "
                f"bits, with {2**depth - 1:,} as white, since values reach {largest:,.0f}; if that is wrong, give "
                "--data.bit_depth",
                doubt=True,
            )
        )
    return depth


def _white(
    files: list[_File], others: list[_File], total: int, decoding: Decoding, remarks: list[Remark]
) -> float | None:
    path, largest = _largest(files, decoding)
    white = None if path is None else next((white for white in _WHITES if largest <= white), None)
    if path is not None and white is None:
        raise UsageError(
            f"{path} holds floating-point values up to {largest:g}, but it is not known which value is white, unless "
            "all lie between 0 and 1 or between 0 and 255. Give that value as --data.float_white."
        )
    tested, value = _largest(others, decoding)
    if tested is not None and (white is None or value > white):
        raise _unlike(tested, f"{value:g}", "float_white", white, next((w for w in _WHITES if value <= w), value))
    if white is not None:
        remarks.append(
            Remark(
                f"{len(files):,} of the {total:,} files to train on hold floating-point values: read with {white:g} "
                f"as white, since values reach {largest:g}; if that is wrong, give --data.float_white",
                doubt=True,
            )
        )
    return white


def _unlike(path: Path, value: str, option: str, assumed: float | None, enough: float) -> UsageError:
    reason = "none of those to train on has such values"
    if assumed is not None:
        reason = f"those to train on need no more than {option} {assumed:g}"
    return UsageError(
        f"{path}, an image to test on, has values up to {value}, but {reason}. Give what your camera has, at least "
        f"--data.{option} {enough:g}; it is applied to all images."
    )


def _holding(value: float) -> int:
    return next(depth for depth in _DEPTHS if value < 2**depth)


def _scaled_files(paths: Sequence[Path]) -> list[_File]:
    """Return the files whose values need a scale, looking at headers only."""
    found = []
    for path in paths:
        try:
            if not _may_be_deep(path):
                continue
            with open_image(path) as image:
                values = values_of(image)
                bits = 32 if image.mode == "I" and image.format == "TIFF" else SIXTEEN_BITS
        except Exception:  # load_image says what is wrong
            continue
        if values not in ("bytes", "scaled"):
            found.append(_File(path, values, bits))
    return found


def _may_be_deep(path: Path) -> bool:
    """Whether a file's first bytes are those of a format that can hold more than 8 bits per value."""
    if not os.path.isfile(path):  # a pipe would block; load_image says what is wrong
        return False
    try:
        with path.open("rb") as file:
            head = file.read(25)
    except OSError:
        return False
    if head.startswith(b"\x89PNG"):
        return head[24:] == b"\x10"
    return head.startswith((b"II", b"MM", b"P"))


def _largest(files: list[_File], decoding: Decoding) -> tuple[Path | None, float]:
    """Return the file with the largest value, and the value; reading ends once the value says all there is to say."""
    place, largest = None, 0.0
    full = 2.0 ** (SIXTEEN_BITS - 2) if all(file.bits == SIXTEEN_BITS for file in files) else math.inf
    with ThreadPoolExecutor() as pool:
        for first in range(0, len(files), _AT_A_TIME):
            some = files[first : first + _AT_A_TIME]
            for file, value in zip(some, pool.map(lambda file: _value(file, decoding), some), strict=True):
                if value is not None and (place is None or value > largest):
                    place, largest = file.path, value
            if largest >= full and some[0].values != "floats":
                break
    return place, largest


def _value(file: _File, decoding: Decoding) -> float | None:
    try:
        with open_image(file.path, decoding.max_pixels) as image:
            if find_damage(file.path, image, decoding.max_pixels) is not None:
                return None
            value = largest_value(image, file.values)
    except Exception:  # load_image says what is wrong
        return None
    return value if math.isfinite(value) else None
