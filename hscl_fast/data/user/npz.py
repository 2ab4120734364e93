"""A user's images as arrays in one ``.npz`` file."""

from __future__ import annotations

import zipfile
from pathlib import Path

import numpy as np

from hscl_fast.data.types import ABNORMAL, UNLABELLED, Images, LabelledImages, Roles, Source, UserImages, numbered
from hscl_fast.data.user.labels import RECODE, check_labels, remark_on_zeros_and_ones
from hscl_fast.data.user.listing import ABNORMAL_NAME, NORMAL_NAME
from hscl_fast.errors import UsageError

_CONTENT = (
    "images uint8 [n, H, W], [n, H, W, 1] or [n, H, W, 3] and y in {+1, 0, -1} to train on, and test_images and "
    "test_y in {+1, -1} to test on"
)


def load_npz(path: Path) -> UserImages:
    """Read ``images``, ``y`` and, where present, ``test_images``, ``test_y`` from an ``.npz`` file.

    Parameters
    ----------
    path
        Written by :func:`numpy.savez`; pickled objects in it are refused, not read.

    Returns
    -------
    UserImages
        Images uint8 [n, H, W, 3] at their own size.

    Raises
    ------
    UsageError
        The file is not an ``.npz`` file, an array is missing or has another type or shape, a label has another value,
        there is nothing to train on, or a test image is unlabelled.
    """
    arrays = _read(path)
    images, roles = _part(path, arrays, "images", "y")
    if not len(images):
        raise UsageError(f"{path} has no image to train on. Expected {_CONTENT}.")
    test_images, test_roles = images[:0], roles[:0]
    if "test_images" in arrays or "test_y" in arrays:
        test_images, test_roles = _part(path, arrays, "test_images", "test_y")
    if (test_roles == UNLABELLED).any():
        index = int((test_roles == UNLABELLED).argmax())
        recode = f" ({RECODE})" if set(np.unique(test_roles).tolist()) == {0, 1} else ""
        raise UsageError(
            f"{path}: test_y[{index}] is 0, unlabelled. Test images need +1 normal or -1 abnormal{recode}."
        )
    if len(test_images) and test_images.shape[1:] != images.shape[1:]:
        raise UsageError(
            f"{path}: images are {images.shape[1]} x {images.shape[2]} pixels and test_images "
            f"{test_images.shape[1]} x {test_images.shape[2]}. Give both the same size."
        )
    train, test = _labelled("train", images, roles), _labelled("test", test_images, test_roles)
    remarks = remark_on_zeros_and_ones({*roles.tolist(), *test_roles.tolist()}, "y")
    return UserImages("npz", Source(path.stem, train, test, (NORMAL_NAME, ABNORMAL_NAME)), roles, remarks=remarks)


def _read(path: Path) -> dict[str, np.ndarray]:
    if not zipfile.is_zipfile(path):
        raise _unreadable(path, "it is not an archive that numpy.savez wrote, or it was cut short")
    arrays: dict[str, np.ndarray] = {}
    name = "images"
    try:
        with np.load(path, allow_pickle=False) as archive:
            for name in ("images", "y", "test_images", "test_y"):
                if name in archive:
                    arrays[name] = np.asarray(archive[name])  # numpy returns the bytes of what is not an array
    except Exception as error:  # a damaged archive makes numpy and zipfile raise almost anything
        if "allow_pickle" in str(error):  # numpy's advice, which must not be followed with a file of unknown origin
            raise _unreadable(path, f"its array {name} holds Python objects, not numbers") from None
        raise _unreadable(path, str(error) or type(error).__name__) from None
    return arrays


def _unreadable(path: Path, reason: str) -> UsageError:
    return UsageError(f"{path} cannot be read as an .npz file: {reason}. Expected {_CONTENT}.")


def _part(path: Path, arrays: dict[str, np.ndarray], images_name: str, y_name: str) -> tuple[Images, Roles]:
    for name in (images_name, y_name):
        if name not in arrays:
            raise UsageError(f"{path} has no array {name}. Expected {_CONTENT}.")
    images = arrays[images_name]
    if images.ndim == 3:
        images = images[..., None]
    if images.dtype != np.uint8 or images.ndim != 4 or images.shape[3] not in (1, 3) or 0 in images.shape[1:]:
        found = f"{images.dtype} {list(arrays[images_name].shape)}"
        raise UsageError(f"{path}: {images_name} is {found}. Expected {_CONTENT}.")
    try:
        roles = check_labels(arrays[y_name])
    except UsageError as error:
        raise UsageError(f"{path}, array {y_name}: {error}") from None
    if len(roles) != len(images):
        raise UsageError(f"{path}: {images_name} has {len(images)} images, {y_name} {len(roles)} labels. Match them.")
    return np.repeat(images, 3, axis=3) if images.shape[3] == 1 else images, roles


def _labelled(part: str, images: Images, roles: Roles) -> LabelledImages:
    labels = np.select([roles == UNLABELLED, roles == ABNORMAL], [-1, 1], 0).astype(np.int64)
    return LabelledImages(images, labels, numbered(part, len(images)))
