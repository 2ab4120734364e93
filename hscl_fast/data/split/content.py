"""Hashes the content of every image: of the file, of the pixels of an array, or of the bytes in a ``.beton``."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from hscl_fast.data.beton.reader import Beton
from hscl_fast.data.split.duplicates import Duplicate, Use, find_duplicates
from hscl_fast.data.split.record import hash_files
from hscl_fast.data.types import ABNORMAL, NORMAL, AnyImages, LabelledImages, LazyImages, Mask, Roles


@dataclass(frozen=True)
class Contents:
    """What images hold, what they are called and what they are used for, one entry per image.

    Pixels are not compared at the size that a run trains on, at which different pictures may be equal.
    """

    hashes: list[bytes]
    names: tuple[str, ...]
    uses: list[Use]

    @property
    def duplicates(self) -> tuple[Duplicate, ...]:
        """See :func:`hscl_fast.data.split.duplicates.find_duplicates`."""
        return find_duplicates(self.hashes, self.names, self.uses)


def hash_contents(
    train: LabelledImages,
    roles: Roles,
    test: LabelledImages,
    normal_class: int,
    root: Path | None,
    held_out: Mask | None = None,
) -> Contents:
    """Hash the training and the test images of a user's own data.

    Parameters
    ----------
    train, roles, test
        The images, and the roles of those to train on.
    normal_class
        The class of the normal test images.
    root
        The folder that the images are files in, or None.
    held_out
        bool [n], True for the images that are kept out of training; None: nothing is held out yet.

    Raises
    ------
    BadImages
        Files cannot be read; all of them are named.
    """
    names = (*train.names, *test.names)
    if root is not None:
        hashes = hash_files([root / name for name in names])
    else:
        hashes = [*_hash_images(train.images), *_hash_images(test.images)]
    tested = [Use("test", NORMAL if label == normal_class else ABNORMAL) for label in test.labels.tolist()]
    kept_out = np.zeros(len(roles), np.bool_) if held_out is None else held_out
    trained = [
        Use("held out" if out else "train", role) for role, out in zip(roles.tolist(), kept_out.tolist(), strict=True)
    ]
    return Contents(hashes, names, [*trained, *tested])


def _hash_images(images: AnyImages) -> list[bytes]:
    if not isinstance(images, LazyImages):
        return [hashlib.sha256(np.ascontiguousarray(image).data).digest() for image in images]
    beton = images.reader
    assert isinstance(beton, Beton)  # the only images read on access that are not files
    if not len(images):
        return []
    data = np.memmap(beton.path, np.uint8, "r")
    return [
        hashlib.sha256(data[start : start + length].data).digest()
        for start, length in zip(beton.starts[images.rows].tolist(), beton.lengths[images.rows].tolist(), strict=True)
    ]
