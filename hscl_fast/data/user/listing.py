"""A list of a user's image files with the role of each, as a folder and a CSV file give it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np

from hscl_fast.data.decode import lazy_files
from hscl_fast.data.types import UNLABELLED, Decoding, Kind, LabelledImages, Remark, Source, UserImages

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

    def paths(self, part: Literal["train", "test"]) -> list[Path]:
        """Return the files of one part."""
        return [self.root / image.name for image in (self.train if part == "train" else self.test)]

    def open(self, decoding: Decoding) -> UserImages:
        """Return the files as images that are decoded on access."""
        labelled = [image for image in (*self.train, *self.test) if image.role != UNLABELLED]
        kinds = {image.class_name for image in labelled} - {NORMAL_NAME}
        class_names = (NORMAL_NAME, *sorted(kinds))
        train, test = (self._part(part, class_names, decoding) for part in (self.train, self.test))
        roles = np.array([image.role for image in self.train], np.int8)
        source = Source(self.root.name, train, test, class_names)
        return UserImages(self.kind, source, roles, remarks=self.remarks, decoding=decoding)

    def _part(self, part: tuple[ListedImage, ...], class_names: tuple[str, ...], decoding: Decoding) -> LabelledImages:
        labels = [-1 if image.role == UNLABELLED else class_names.index(image.class_name) for image in part]
        names = tuple(image.name for image in part)
        images = lazy_files([self.root / name for name in names], decoding)
        return LabelledImages(images, np.array(labels, np.int64), names)
