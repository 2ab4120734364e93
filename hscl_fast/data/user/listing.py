"""A list of a user's image files with the role of each, as a folder and a CSV file give it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from hscl_fast.data.decode import lazy_files
from hscl_fast.data.types import UNLABELLED, Kind, LabelledImages, Remark, Source, UserImages

NORMAL_NAME, ABNORMAL_NAME = "normal", "abnormal"


@dataclass(frozen=True)
class ListedImage:
    """One image file.

    Parameters
    ----------
    name
        Its real path relative to the root, with ``/``.
    role
        +1, 0 or -1.
    class_name
        ``normal`` or the kind of anomaly; not used where ``role`` is 0.
    """

    name: str
    role: int
    class_name: str


@dataclass(frozen=True)
class Listing:
    """The files of a user's data set, before any is read."""

    kind: Kind
    root: Path
    train: tuple[ListedImage, ...]
    test: tuple[ListedImage, ...]
    remarks: tuple[Remark, ...] = ()

    def open(self, size: int) -> UserImages:
        """Return the files as images of ``size`` x ``size`` that are decoded on access."""
        labelled = [image for image in (*self.train, *self.test) if image.role != UNLABELLED]
        kinds = {image.class_name for image in labelled} - {NORMAL_NAME}
        class_names = (NORMAL_NAME, *sorted(kinds))
        train, test = (self._part(part, class_names, size) for part in (self.train, self.test))
        roles = np.array([image.role for image in self.train], np.int8)
        return UserImages(self.kind, Source(self.root.name, train, test, class_names), roles, remarks=self.remarks)

    def _part(self, part: tuple[ListedImage, ...], class_names: tuple[str, ...], size: int) -> LabelledImages:
        labels = [-1 if image.role == UNLABELLED else class_names.index(image.class_name) for image in part]
        names = tuple(image.name for image in part)
        images = lazy_files([self.root / name for name in names], size)
        return LabelledImages(images, np.array(labels, np.int64), names)
