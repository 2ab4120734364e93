"""Opens images of the user's that a trained run was not trained with, to test it on."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from hscl_fast.config.sections import DataConfig
from hscl_fast.data.decode import lazy_files, resize_images
from hscl_fast.data.kinds import files_root, kind_of, open_test_images, open_user_images
from hscl_fast.data.shrinking import remark_on_shrinking
from hscl_fast.data.split.content import hash_contents
from hscl_fast.data.split.duplicates import Duplicate
from hscl_fast.data.split.idle_options import refuse_idle_root
from hscl_fast.data.split.record import SplitRecord
from hscl_fast.data.types import FILE_KINDS, Decoding, Kind, LabelledImages, LazyImages, Remark, TestImages, take
from hscl_fast.errors import UsageError


@dataclass(frozen=True, eq=False)
class OtherTest:
    """Another test set.

    Parameters
    ----------
    images
        The images and what they are.
    class_names, normal_class
        Its classes, which need not be those of the run.
    remarks
        How it was read.
    duplicates
        Pictures that are training images of the run, or that are there as normal and as abnormal.
    decoding
        See :class:`hscl_fast.data.types.UserImages`.
    """

    images: TestImages
    class_names: tuple[str, ...]
    normal_class: int
    remarks: tuple[Remark, ...]
    duplicates: tuple[Duplicate, ...]
    decoding: Decoding | None


def open_other_test(config: DataConfig, trained: DataConfig, record: SplitRecord) -> OtherTest:
    """Open a test set of the user's own; images in files are read on access.

    Parameters
    ----------
    config
        ``name`` and ``root`` (of a CSV file) say where it is; ``image_size`` is that of the run.
    trained, record
        The data that the run was trained on, and its split.

    Raises
    ------
    UsageError
        It is a named data set, has no test images or unlabelled ones, or is a ``.beton`` of another size.
    """
    kind = kind_of(config)
    if kind == "named":
        raise UsageError(
            f"--data is {config.name!r}, a named data set, but other test images must be your own. Give a folder, a "
            ".csv, an .npz or a .beton."
        )
    refuse_idle_root(config, kind)
    assert config.image_size is not None
    user, size = open_test_images(config, kind), config.image_size
    test = user.source.test
    if not len(test.labels):
        raise UsageError(f"{config.name} has no images to test on. Give data with normal or abnormal test images.")
    training = _training_images(trained, record, kind)
    remarks = (*user.remarks, *remark_on_shrinking(test.images, size))
    roles = np.array(record.train.role, np.int8)
    if training is None:
        none = np.zeros(0, np.int64)
        training, roles = LabelledImages(take(test.images, none), none, ()), roles[:0]
        remarks += (Remark(f"not compared with the training images for pictures that are in both: {_why(trained)}"),)
    root = files_root(config, kind) if kind in FILE_KINDS else None
    contents = hash_contents(training, roles, test, user.normal_class, root)
    images = test.images if isinstance(test.images, LazyImages) else resize_images(test.images, size)
    return OtherTest(
        TestImages(images, test.labels != user.normal_class, test.labels, test.names),
        user.source.class_names,
        user.normal_class,
        remarks,
        contents.duplicates,
        user.decoding,
    )


def _why(trained: DataConfig) -> str:
    return f"they are not in {trained.name} any more, or of another kind (image files, .npz or .beton)"


def _training_images(trained: DataConfig, record: SplitRecord, kind: Kind) -> LabelledImages | None:
    """Return the training images of a run if their contents can be compared with those of test images of a kind."""
    labels = np.array(record.train.label, np.int64)
    if kind in FILE_KINDS and record.kind in FILE_KINDS:
        root = files_root(trained, record.kind).absolute()
        paths = [root / name for name in record.train.image]
        if not all(map(os.path.isfile, paths)):
            return None
        return LabelledImages(lazy_files(paths, Decoding(1)), labels, tuple(map(str, paths)))
    if kind != record.kind or not os.path.isfile(Path(trained.name)):
        return None
    try:
        train = open_user_images(trained, kind).source.train
    except UsageError:
        return None
    rows = np.array(record.train.image, np.int64)
    if len(rows) and rows.max() >= len(train.names):
        return None
    return LabelledImages(take(train.images, rows), labels, tuple(train.names[row] for row in rows))
