"""A user's images as arrays in one ``.npz`` file."""

from __future__ import annotations

import zipfile
from pathlib import Path

import numpy as np

from hscl_fast.counted import counted
from hscl_fast.data.types import (
    ABNORMAL,
    UNLABELLED,
    Images,
    LabelledImages,
    Remark,
    Roles,
    Source,
    UserImages,
    numbered,
)
from hscl_fast.data.user.labels import RECODE, check_labels, remark_on_zeros_and_ones
from hscl_fast.data.user.listing import ABNORMAL_NAME, NORMAL_NAME
from hscl_fast.data.user.looks_like import looks_like
from hscl_fast.data.user.pixels import SHAPES, check_images
from hscl_fast.errors import UsageError

ARRAY_CLASSES = (NORMAL_NAME, ABNORMAL_NAME)
_SUSPICIOUS_SIZE = 1 << 28  # bytes
_SUSPICIOUS_RATIO = 100
_CONTENT = f"images {SHAPES} and y in {{+1, 0, -1}} to train on, and test_images and test_y in {{+1, -1}} to test on"
_TRAIN_NAMES, _TEST_NAMES = ("images", "y"), ("test_images", "test_y")
_IMAGE_NAMES = ("images", "test_images")


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
    _require_labels(path, "test_y", test_roles)
    if len(test_images) and test_images.shape[1:] != images.shape[1:]:
        raise _unequal(path, images, test_images)
    train, test = labelled("train", images, roles), labelled("test", test_images, test_roles)
    remarks = remark_on_zeros_and_ones({*roles.tolist(), *test_roles.tolist()}, "y")
    return UserImages("npz", Source(path.stem, train, test, ARRAY_CLASSES), roles, remarks=remarks)


def load_test_npz(path: Path) -> UserImages:
    """Read the images to test a trained run on: ``test_images`` and ``test_y``, else ``images`` and ``y``.

    Raises
    ------
    UsageError
        As for :func:`load_npz`, but no images to train on are needed.
    """
    arrays = _read(path, only_test=True)
    names, remarks = _TEST_NAMES, tuple[Remark, ...]()
    if not arrays.keys() & {*names}:
        names = _TRAIN_NAMES
        remarks = (Remark("to test on: read images and y, since there is no test_images"),)
    images, roles = _part(path, arrays, *names)
    if not len(images):
        raise UsageError(f"{path} has no image to test on. Expected {_CONTENT}.")
    _require_labels(path, names[1], roles)
    source = Source(path.stem, labelled("train", images[:0], roles[:0]), labelled("test", images, roles), ARRAY_CLASSES)
    return UserImages("npz", source, roles[:0], remarks=remarks)


def load_npz_images(path: Path) -> LabelledImages:
    """Read all images of an ``.npz`` file, ``images`` and ``test_images``, whether they have labels or not.

    Returns
    -------
    LabelledImages
        Of unknown labels, named ``images/0`` and ``test_images/0``.

    Raises
    ------
    UsageError
        The file is not an ``.npz`` file, or has no images of the type and shape that :func:`load_npz` expects.
    """
    arrays = _read(path, labels=False)
    parts = {name: _images(path, arrays, name) for name in _IMAGE_NAMES if name in arrays}
    if len({images.shape[1:] for images in parts.values()}) > 1:
        raise _unequal(path, *parts.values())
    names = tuple(name for part, images in parts.items() for name in numbered(part, len(images)))
    if not names:
        raise UsageError(f"{path} has no image. Expected {_CONTENT}.")
    return LabelledImages(np.concatenate([*parts.values()]), np.full(len(names), -1), names)


def _unequal(path: Path, images: Images, test_images: Images) -> UsageError:
    return UsageError(
        f"{path}: images are {images.shape[1]} x {images.shape[2]} pixels and test_images "
        f"{test_images.shape[1]} x {test_images.shape[2]}. Give both the same size."
    )


def _require_labels(path: Path, name: str, roles: Roles) -> None:
    """Refuse test images that are unlabelled."""
    if (roles == UNLABELLED).any():
        index = int((roles == UNLABELLED).argmax())
        recode = f" ({RECODE})" if set(np.unique(roles).tolist()) == {0, 1} else ""
        raise UsageError(
            f"{path}: {name}[{index}] is 0, unlabelled. Test images need +1 normal or -1 abnormal{recode}."
        )


def _read(path: Path, *, only_test: bool = False, labels: bool = True) -> dict[str, np.ndarray]:
    if not zipfile.is_zipfile(path):
        raise _unreadable(path, _other_kind(path))
    arrays: dict[str, np.ndarray] = {}
    name, names = "images", []
    try:
        _refuse_bomb(path)
        with np.load(path, allow_pickle=False) as archive:
            names = archive.files
            for name in (*_TRAIN_NAMES, *_TEST_NAMES):
                if name in archive:
                    arrays[name] = archive[name]
    except Exception as error:  # a damaged archive makes numpy and zipfile raise almost anything
        if "allow_pickle" in str(error):  # numpy's advice, which must not be followed with a file of unknown origin
            raise _unreadable(path, f"its array {name} holds Python objects, not numbers") from None
        raise _unreadable(path, f"it is damaged ({str(error) or type(error).__name__})") from None
    for name, array in arrays.items():
        if not isinstance(array, np.ndarray):  # numpy returns the bytes of what is not an array
            raise _unreadable(path, f"{name} in it is not an array")
    if not labels and arrays.keys() & {*_IMAGE_NAMES}:
        return arrays
    needed = _TEST_NAMES if only_test and arrays.keys() & {*_TEST_NAMES} else _TRAIN_NAMES
    if missing := [name for name in needed if name not in arrays]:
        raise UsageError(
            f"{path} has no array {' and no '.join(missing)}; it has {', '.join(names) or 'none'}. Expected {_CONTENT}."
        )
    return arrays


def _other_kind(path: Path) -> str:
    """Say what a file is that is no archive."""
    try:
        with path.open("rb") as file:
            head = file.read(64)
    except OSError as error:
        return error.strerror or str(error)
    kind = looks_like(head)
    if head.startswith(b"PK"):
        return "it is an archive that was cut short. Copy or write it again"
    if kind is None:
        return "it is not an archive that numpy.savez wrote"
    return f"it is {kind}, not an archive that numpy.savez wrote"


def _refuse_bomb(path: Path) -> None:
    """Raise a ValueError where arrays are compressed as no photographs are and would fill the memory."""
    with zipfile.ZipFile(path) as archive:
        for member in archive.infolist():
            if member.file_size > _SUSPICIOUS_SIZE and member.file_size > _SUSPICIOUS_RATIO * member.compress_size:
                raise ValueError(
                    f"its array {member.filename.removesuffix('.npy')} has {member.file_size:,} bytes, compressed to "
                    f"{member.compress_size:,}, so it holds next to nothing; write it with numpy.savez"
                )


def _unreadable(path: Path, reason: str) -> UsageError:
    return UsageError(f"{path} cannot be read as an .npz file: {reason}. Expected {_CONTENT}.")


def _part(path: Path, arrays: dict[str, np.ndarray], images_name: str, y_name: str) -> tuple[Images, Roles]:
    for name in (images_name, y_name):
        if name not in arrays:
            raise UsageError(f"{path} has no array {name}. Expected {_CONTENT}.")
    images = _images(path, arrays, images_name)
    try:
        roles = check_labels(arrays[y_name])
    except UsageError as error:
        raise UsageError(f"{path}, array {y_name}: {error}") from None
    if len(roles) != len(images):
        raise UsageError(
            f"{path}: {images_name} has {counted(len(images), 'image')}, {y_name} {counted(len(roles), 'label')}. "
            "Match them."
        )
    return images, roles


def _images(path: Path, arrays: dict[str, np.ndarray], name: str) -> Images:
    try:
        return check_images(arrays[name], name, _CONTENT)
    except UsageError as error:
        raise UsageError(f"{path}: {error}") from None


def labelled(part: str, images: Images, roles: Roles) -> LabelledImages:
    """Return images that lie in one array with the classes that follow from their roles."""
    labels = np.select([roles == UNLABELLED, roles == ABNORMAL], [-1, 1], 0).astype(np.int64)
    return LabelledImages(images, labels, numbered(part, len(images)))
