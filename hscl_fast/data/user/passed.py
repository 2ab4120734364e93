"""Images that a program has, as arrays or as a list of files, in place of data that a configuration leads to."""

from __future__ import annotations

import csv
import io
import os
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt

from hscl_fast.atomic import replacing, write_bytes
from hscl_fast.config.sections import DataConfig
from hscl_fast.counted import counted
from hscl_fast.data.paths import at_home
from hscl_fast.data.types import ABNORMAL, UNLABELLED, Images, Kind, Roles, Source, UserImages
from hscl_fast.data.user.labels import check_labels, remark_on_labels
from hscl_fast.data.user.listing import ABNORMAL_NAME, NORMAL_NAME, ListedImage, Listing
from hscl_fast.data.user.npz import ARRAY_CLASSES, labelled
from hscl_fast.data.user.pixels import SHAPES, check_images
from hscl_fast.errors import UsageError

_EXPECTED = f"{SHAPES}, or a list of paths of image files"
_SHOWN = 5  # missing files


@dataclass(frozen=True, eq=False)
class PassedArray:
    """Images in one array.

    Parameters
    ----------
    images
        uint8 [n, H, W, 3].
    roles
        int8 [n].
    keep
        Whether the run keeps a copy of the images, without which it can be neither resumed nor evaluated again.
    """

    images: Images
    roles: Roles
    keep: bool = True
    kind: ClassVar[Kind] = "npz"

    def placed(self, config: DataConfig, folder: Path) -> DataConfig:
        """Return the data section that leads to these images once they are written into a folder of the run, if so."""
        return replace(
            config, name=str(folder / "images.npz") if self.keep else "X", root=None, split_record=None, labels=None
        )

    def open(self) -> UserImages:
        """Return the images with their roles."""
        train = labelled("train", self.images, self.roles)
        test = labelled("test", self.images[:0], self.roles[:0])
        remarks = remark_on_labels(self.roles)
        return UserImages("npz", Source("images", train, test, ARRAY_CLASSES), self.roles, remarks=remarks)

    def write(self, folder: Path) -> None:
        """Write ``images.npz`` if it is to be kept; raise OSError if that fails."""
        if not self.keep:
            return
        folder.mkdir(exist_ok=True)
        with replacing(folder / "images.npz") as temporary, temporary.open("wb") as file:
            np.savez(file, images=self.images, y=self.roles)


@dataclass(frozen=True, eq=False)
class PassedFiles:
    """Image files, which stay where they are.

    Parameters
    ----------
    paths
        Absolute ones, each to a file of its own. Links among them are followed, since each was named by hand.
    roles
        int8 [n].
    keep
        Whether the run keeps the list of the files.
    """

    paths: tuple[str, ...]
    roles: Roles
    keep: bool = True
    kind: ClassVar[Kind] = "csv"

    def placed(self, config: DataConfig, folder: Path) -> DataConfig:
        """See :meth:`PassedArray.placed`."""
        name = str(folder / "images.csv") if self.keep else "X"
        return replace(config, name=name, root=self._root, split_record=None, labels=None, follow_links=True)

    @property
    def _root(self) -> str:
        return os.path.commonpath([os.path.dirname(path) for path in self.paths])

    @property
    def listing(self) -> Listing:
        """The files with their roles, before any is read."""
        listed = tuple(
            ListedImage(os.path.relpath(path, self._root), role, ABNORMAL_NAME if role == ABNORMAL else NORMAL_NAME)
            for path, role in zip(self.paths, self.roles.tolist(), strict=True)
        )
        return Listing("csv", Path(self._root), listed, (), remark_on_labels(self.roles))

    def write(self, folder: Path) -> None:
        """Write ``images.csv`` if it is to be kept; raise OSError if that fails."""
        if not self.keep:
            return
        text = io.StringIO()
        writer = csv.writer(text, lineterminator="\n")
        writer.writerow(["path", "label", "split"])
        writer.writerows([image.name, image.role, "train"] for image in self.listing.train)
        folder.mkdir(exist_ok=True)
        write_bytes(folder / "images.csv", text.getvalue().encode("utf-8", "surrogateescape"))


PassedImages = PassedArray | PassedFiles


def passed_images(X: Any, y: npt.ArrayLike | None = None, *, keep: bool = True) -> PassedImages:
    """Return images and labels that a program has, after checking them.

    Parameters
    ----------
    X
        As for :func:`read_images`.
    y
        [n] of +1 normal, 0 unlabelled, -1 abnormal; None: all are unlabelled.
    keep
        See :class:`PassedArray` and :class:`PassedFiles`.

    Raises
    ------
    UsageError
        ``X`` is no images, or ``y`` not one label for each.
    """
    images = read_images(X)
    roles = np.full(len(images), UNLABELLED, np.int8) if y is None else check_labels(y)
    if len(roles) != len(images):
        raise UsageError(
            f"X has {counted(len(images), 'image')} and y {counted(len(roles), 'label')}. Give one label for each "
            "image: +1 normal, 0 unlabelled, -1 abnormal."
        )
    if isinstance(images, np.ndarray):
        return PassedArray(images, roles, keep)
    _require_different(images)
    return PassedFiles(images, roles, keep)


def read_images(X: Any) -> Images | tuple[str, ...]:
    """Return images uint8 [n, H, W, 3], or the absolute paths of the files that ``X`` names.

    Parameters
    ----------
    X
        uint8 [n, H, W, 3], or [n, H, W] or [n, H, W, 1] of grey images; or a sequence of paths, str or Path.

    Raises
    ------
    UsageError
        It is neither, it is empty, or a file does not exist.
    """
    if isinstance(X, str | os.PathLike):
        raise UsageError(
            f"X is the path {os.fspath(X)!r}, but must be {_EXPECTED}. Give [path], or the files of a folder: "
            "sorted(Path(folder).rglob('*.png'))."
        )
    if _are_paths(X):
        return _existing(X)
    try:
        array = np.asarray(X)
    except ValueError as error:  # images of several sizes
        raise UsageError(
            f"X cannot be read as one array of images ({error}). Give images of one size, or a list of paths of image "
            "files, which are resized."
        ) from None
    if array.shape[:1] == (0,):
        raise UsageError(f"X has 0 images. Give at least one, as {_EXPECTED}.")
    # A copy where torch could not use the memory: it may be read-only, or run backwards as in X[..., ::-1].
    return np.require(check_images(array, "X", _EXPECTED), np.uint8, ["C", "W", "E"])


def _are_paths(X: Any) -> bool:
    if isinstance(X, np.ndarray) and X.dtype.kind not in "OU":
        return False
    return hasattr(X, "__len__") and len(X) > 0 and all(isinstance(path, str | os.PathLike) for path in X)


def _existing(X: Sequence[str | os.PathLike[str]]) -> tuple[str, ...]:
    paths = tuple(os.path.abspath(at_home(path)) for path in X)
    missing = [path for path in paths if not os.path.isfile(path)]
    if missing:
        named = ", ".join(missing[:_SHOWN]) + (f" and {len(missing) - _SHOWN:,} more" if missing[_SHOWN:] else "")
        raise UsageError(
            f"X names {counted(len(paths), 'file')}, of which {len(missing):,} do not exist or are folders: {named}. "
            "Give the paths of image files."
        )
    return paths


def _require_different(paths: Sequence[str]) -> None:
    seen: dict[str, int] = {}
    for place, path in enumerate(paths):
        first = seen.setdefault(os.path.realpath(path), place)
        if first != place:
            raise UsageError(f"X[{place}] is the same file as X[{first}]: {path}. Give each image once.")
