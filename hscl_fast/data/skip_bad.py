"""Leaves out the image files of a user's data that cannot be read."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from hscl_fast.data.decode import ImageFiles, find_bad_files
from hscl_fast.data.left_out import shown
from hscl_fast.data.types import LabelledImages, LazyImages, Mask, Remark, UserImages, take
from hscl_fast.errors import UsageError


def without_bad_files(user: UserImages) -> UserImages:
    """Read every file once, and return the data without those that cannot be read as images.

    Parameters
    ----------
    user
        A folder or a CSV file.

    Returns
    -------
    UserImages
        ``skipped`` has the files that were left out, and a remark names the first of them.

    Raises
    ------
    UsageError
        No training image is left.
    """
    bad: list[tuple[str, str]] = []
    train, test = user.source.train, user.source.test
    kept, kept_test = _readable(train, bad), _readable(test, bad)
    if not bad:
        return user
    if not kept.any():
        raise UsageError(
            f"{user.source.name} has no training image that can be read: {bad[0][0]}: {bad[0][1]}. Give data with "
            "readable images."
        )
    what = (
        "1 file that cannot be read as an image"
        if len(bad) == 1
        else f"{len(bad):,} files that cannot be read as images"
    )
    named = shown([f"{path} ({reason})" for path, reason in bad])
    return replace(
        user,
        source=replace(user.source, train=_take(train, kept), test=_take(test, kept_test)),
        roles=user.roles[kept],
        remarks=(*user.remarks, Remark(f"left out {what}: {named}", doubt=True)),
        skipped=tuple(bad),
    )


def _readable(images: LabelledImages, bad: list[tuple[str, str]]) -> Mask:
    """Return which images can be read; add the others to ``bad``."""
    lazy = images.images
    assert isinstance(lazy, LazyImages)
    assert isinstance(lazy.reader, ImageFiles)
    found = [find_bad_files([lazy.reader.paths[row]], lazy.reader.decoding) for row in lazy.rows]
    bad += [file for files in found for file in files]
    return np.array([not files for files in found], np.bool_)


def _take(images: LabelledImages, kept: Mask) -> LabelledImages:
    names = tuple(name for name, keep in zip(images.names, kept.tolist(), strict=True) if keep)
    return LabelledImages(take(images.images, kept), images.labels[kept], names)
