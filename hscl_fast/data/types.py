"""Images in memory or read when asked for: what a source holds, and what training and testing may see of it."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, Protocol, overload

import numpy as np
import numpy.typing as npt

# Roles, the labels that training sees.
NORMAL, UNLABELLED, ABNORMAL = 1, 0, -1

Images = npt.NDArray[np.uint8]
Labels = npt.NDArray[np.int64]
Roles = npt.NDArray[np.int8]
Mask = npt.NDArray[np.bool_]


class ImageReader(Protocol):
    """Where images come from that are not in memory."""

    def read(self, rows: Labels) -> Images:
        """Return the images of some rows: int64 [k] -> uint8 [k, H, W, 3]."""


@dataclass(frozen=True, eq=False)
class LazyImages:
    """Square images that are read when they are asked for; stands where an array uint8 [n, S, S, 3] may stand.

    Parameters
    ----------
    reader
        Where they come from.
    rows
        int64 [n], which of the reader's images these are.
    size
        S, their side in pixels.
    """

    reader: ImageReader
    rows: Labels
    size: int

    @property
    def shape(self) -> tuple[int, int, int, int]:
        """[n, S, S, 3]."""
        return len(self.rows), self.size, self.size, 3

    @property
    def nbytes(self) -> int:
        """What they would take in memory."""
        return len(self.rows) * self.size * self.size * 3

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, key: int | np.integer[Any] | slice | Labels | Mask) -> Images:
        """Read the images of a slice or of an array of indices, or one image uint8 [S, S, 3]."""
        if isinstance(key, (int, np.integer)):
            return self.reader.read(self.rows[np.array([key])])[0]
        return self.reader.read(self.rows[key])


AnyImages = Images | LazyImages


@overload
def take(images: Images, rows: Labels | Mask) -> Images: ...
@overload
def take(images: LazyImages, rows: Labels | Mask) -> LazyImages: ...
def take(images: AnyImages, rows: Labels | Mask) -> AnyImages:
    """Return some of the images, by index or by mask, without reading any."""
    return replace(images, rows=images.rows[rows]) if isinstance(images, LazyImages) else images[rows]


@dataclass(frozen=True, eq=False)
class LabelledImages:
    """Images with their true classes, as a data set ships them.

    Parameters
    ----------
    images
        uint8 [n, H, W, 3].
    labels
        int64 [n], class ids; -1 where a user's image is unlabelled and its class is unknown.
    names
        A path, or ``train/17`` where the images lie in one array.
    fine_labels
        int64 [n], the finer classes that ``labels`` groups (CIFAR-100), or None.
    """

    images: AnyImages
    labels: Labels
    names: tuple[str, ...]
    fine_labels: Labels | None = None


@dataclass(frozen=True, eq=False)
class Source:
    """A data set with every true label, before anything is hidden."""

    name: str
    train: LabelledImages
    test: LabelledImages
    class_names: tuple[str, ...]


@dataclass(frozen=True, eq=False)
class UserImages:
    """A user's own data: its roles come with it, so no protocol deals them out.

    Parameters
    ----------
    kind
        ``folder``, ``csv``, ``npz`` or ``beton``.
    source
        ``labels`` may be -1 for unlabelled images.
    roles
        int8 [n] of ``source.train``.
    normal_class
        The class id that counts as normal.
    digest
        The sha256 that stands for the images where the file brings one.
    """

    kind: str
    source: Source
    roles: Roles
    normal_class: int = 0
    digest: str | None = None


@dataclass(frozen=True, eq=False)
class TrainingImages:
    """All that training may see: images and roles, never true labels.

    Parameters
    ----------
    images
        uint8 [n, H, W, 3].
    roles
        int8 [n]: +1 normal, 0 unlabelled, -1 abnormal.
    """

    images: AnyImages
    roles: Roles


@dataclass(frozen=True, eq=False)
class TestImages:
    """Images to score, and the truth to compare the scores with.

    Parameters
    ----------
    images
        uint8 [m, H, W, 3].
    abnormal
        bool [m].
    classes
        int64 [m], class ids.
    names
        One name an image.
    """

    __test__ = False  # the name would make pytest collect the class

    images: AnyImages
    abnormal: Mask
    classes: Labels
    names: tuple[str, ...]


@dataclass(frozen=True)
class Counts:
    """Images of each kind; ``pollution``, the anomalies hidden among the unlabelled, is None where it is unknown."""

    labelled_normal: int
    unlabelled: int
    labelled_abnormal: int
    held_out_normal: int
    held_out_abnormal: int
    test_normal: int
    test_abnormal: int
    pollution: int | None


@dataclass(frozen=True, eq=False)
class Split:
    """A data set dealt out for one run.

    Parameters
    ----------
    training
        What training sees.
    held_out
        Labelled images kept out of training (roles only +1 and -1); may be empty, images [0, H, W, 3].
    test
        The test images.
    class_names
        Name of each class id.
    normal_class
        The class id that counts as normal.
    manifest
        The split as plain JSON values: see :mod:`hscl_fast.data.split.record`.
    """

    training: TrainingImages
    held_out: TrainingImages
    test: TestImages
    class_names: tuple[str, ...]
    normal_class: int
    manifest: dict[str, Any]

    @property
    def counts(self) -> Counts:
        """Images of each kind."""
        training, held_out, abnormal = self.training.roles, self.held_out.roles, self.test.abnormal
        return Counts(
            labelled_normal=int((training == NORMAL).sum()),
            unlabelled=int((training == UNLABELLED).sum()),
            labelled_abnormal=int((training == ABNORMAL).sum()),
            held_out_normal=int((held_out == NORMAL).sum()),
            held_out_abnormal=int((held_out == ABNORMAL).sum()),
            test_normal=int((~abnormal).sum()),
            test_abnormal=int(abnormal.sum()),
            pollution=self._pollution(),
        )

    def _pollution(self) -> int | None:
        train = self.manifest["train"]
        hidden = [label for role, label in zip(train["role"], train["label"], strict=True) if role == UNLABELLED]
        if -1 in hidden:
            return None
        return sum(label != self.normal_class for label in hidden)
