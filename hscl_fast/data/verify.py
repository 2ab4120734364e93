"""Loads a whole data set and summarises it: ``hscl data verify``."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from hscl_fast.config.sections import DataConfig
from hscl_fast.counted import counted
from hscl_fast.data.bad_images import BadImages
from hscl_fast.data.kinds import files_root, kind_of, open_user_images
from hscl_fast.data.named.registry import DATA_SETS, load_source
from hscl_fast.data.open import remark_on_sizes
from hscl_fast.data.split.content import hash_contents
from hscl_fast.data.split.duplicates import Duplicate
from hscl_fast.data.split.idle_options import refuse_idle_options
from hscl_fast.data.types import FILE_KINDS, AnyImages, Images, LabelledImages, Remark, Source
from hscl_fast.errors import UsageError

_CHUNK = 1024  # images


@dataclass(frozen=True)
class Verification:
    """The contents of a data set.

    Parameters
    ----------
    name
        The data set.
    train_shape, test_shape
        [n, H, W, 3].
    train_counts, test_counts
        Images of each class by name; ``unlabelled`` for a user's images of unknown class.
    sha256
        Checksum of the pixels and labels of both parts.
    remarks
        How a user's own data was read, where that is worth saying.
    duplicates
        Pictures that a user's own data has twice, in uses that contradict each other.
    """

    name: str
    train_shape: tuple[int, ...]
    test_shape: tuple[int, ...]
    train_counts: dict[str, int]
    test_counts: dict[str, int]
    sha256: str
    remarks: tuple[Remark, ...] = ()
    duplicates: tuple[Duplicate, ...] = ()


def verify_source(config: DataConfig) -> Verification:
    """Load a named data set or a user's own data completely.

    Parameters
    ----------
    config
        ``name`` and ``root`` are used, and for a user's image files ``image_size`` and how they are decoded.

    Returns
    -------
    Verification

    Raises
    ------
    UsageError
        The data is missing or corrupt (every file that cannot be read is named), or a named data set does not have the
        official number of images.
    """
    kind = kind_of(config)
    refuse_idle_options(config, kind)
    if kind == "named":
        source = load_source(config)
        _require_complete(config, source)
        return _verified(config.name, source)
    user = open_user_images(config, kind)
    source = user.source
    found = _verified(str(Path(config.name)), source)
    root = files_root(config, kind) if kind in FILE_KINDS else None
    contents = hash_contents(source.train, user.roles, source.test, user.normal_class, root)
    remarks = (*user.remarks, *remark_on_sizes(source, config.image_size))
    return replace(found, remarks=remarks, duplicates=contents.duplicates)


def _verified(name: str, source: Source) -> Verification:
    return Verification(
        name,
        source.train.images.shape,
        source.test.images.shape,
        _counts(source.train, source.class_names),
        _counts(source.test, source.class_names),
        _digest(source),
    )


def _require_complete(config: DataConfig, source: Source) -> None:
    official = DATA_SETS[config.name]
    found = (len(source.train.labels), len(source.test.labels))
    if found != (official.train, official.test):
        raise UsageError(
            f"{config.name} has {found[0]:,} training and {counted(found[1], 'test image')}, but the official data set "
            f"has {official.train} and {official.test}. Fetch it again, or name the folder of a whole copy with "
            "--data.root."
        )


def _counts(images: LabelledImages, class_names: tuple[str, ...]) -> dict[str, int]:
    counts = {name: int((images.labels == class_id).sum()) for class_id, name in enumerate(class_names)}
    if (unknown := int((images.labels == -1).sum())) > 0:
        counts["unlabelled"] = unknown
    return counts


def _digest(source: Source) -> str:
    total = hashlib.sha256()
    bad: list[tuple[str, str]] = []
    for part in (source.train, source.test):
        total.update(repr(part.images.shape).encode())
        for images in _chunks(part.images, bad):
            total.update(np.ascontiguousarray(images).data)
        total.update(np.ascontiguousarray(part.labels, "<i8").data)
    if bad:
        raise BadImages(bad)
    return total.hexdigest()


def _chunks(images: AnyImages, bad: list[tuple[str, str]]) -> Iterator[Images]:
    for first in range(0, len(images), _CHUNK):
        try:
            yield images[first : first + _CHUNK]
        except BadImages as error:
            bad += error.files
