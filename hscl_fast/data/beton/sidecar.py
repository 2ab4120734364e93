"""The sidecar, the JSON beside a ``.beton``: its checksum, classes, true labels and names, and where it came from."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import Field, model_validator

from hscl_fast.data.columns import ClassNames, check_columns
from hscl_fast.errors import UsageError
from hscl_fast.strict_json import Column, Sha256, StrictModel, VersionOne, read_strict, short

SMALLEST, LARGEST = 8, 1024  # pixels, the side of an image in a .beton


class Counts(StrictModel):
    """The number of images in each part."""

    train: int
    test: int


class TrainColumns(StrictModel):
    """The training images in the file's order; ``label`` is the true class id, -1 where unknown."""

    name: Column[str]
    label: Column[int]
    role: Column[int]


class TestColumns(StrictModel):
    """The test images in the file's order, after those of training."""

    name: Column[str]
    label: Column[int]


class Skipped(StrictModel):
    """An image that was left out, and why."""

    file: str
    reason: str


class Sidecar(StrictModel):
    """The description of a ``.beton``; the JSON file has these fields in this order.

    Parameters
    ----------
    counts
        The number of images in each part.
    sha256, bytes
        SHA-256 of the ``.beton`` file, and its size in bytes.
    image_size
        Side of every image in pixels.
    encoding, quality
        ``raw`` or ``jpeg``, and the JPEG quality or None.
    class_names, normal_class
        The classes, and the id of the normal one.
    train, test
        The images.
    origin
        The configuration the file was made from, with the ``bit_depth`` and ``float_white`` that were applied.
    skipped
        The images that were left out.
    """

    format: Literal["hscl-beton"]
    version: VersionOne
    counts: Counts
    sha256: Sha256
    bytes: Annotated[int, Field(gt=0)]
    image_size: Annotated[int, Field(ge=SMALLEST, le=LARGEST)]
    encoding: Literal["raw", "jpeg"]
    quality: int | None
    class_names: ClassNames
    normal_class: int
    train: TrainColumns
    test: TestColumns
    origin: dict[str, Any]
    skipped: Column[Skipped]

    @model_validator(mode="after")
    def _check(self) -> Self:
        check_columns(self.class_names, self.normal_class, self.train, self.test, images="name")
        depth, white = (self.origin.get(name) for name in ("bit_depth", "float_white"))
        if not (depth is None or (type(depth) is int and 1 <= depth <= 32)):
            raise ValueError(f"origin.bit_depth is {short(depth)}, expected 1 to 32")
        if not (white is None or (type(white) in (int, float) and 0 < white < math.inf)):
            raise ValueError(f"origin.float_white is {short(white)}, expected a number above 0")
        counted = Counts(train=len(self.train.name), test=len(self.test.name))
        if self.counts != counted:
            raise ValueError(f"counts is {short(dict(self.counts))}, but the columns have {dict(counted)}")
        return self


def sidecar_path(beton: Path) -> Path:
    """Return the path of a ``.beton``'s sidecar.

    >>> sidecar_path(Path("cifar10.beton")).name
    'cifar10.beton.json'
    """
    return beton.with_name(beton.name + ".json")


def read_sidecar(beton: Path) -> Sidecar:
    """Read the sidecar of a ``.beton`` and trust nothing in it.

    Raises
    ------
    UsageError
        It is missing or not a sidecar, or a value has the wrong type, is out of range or contradicts another.
    """
    path = sidecar_path(beton)

    def refusal(reason: str) -> UsageError:
        return UsageError(
            f"{path} is not a valid sidecar of a .beton: {reason}. Expected the unchanged file that `hscl data "
            "prepare` wrote beside it; copy both files again, or prepare the data again."
        )

    return read_strict(path, Sidecar, refusal)
