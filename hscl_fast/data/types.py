"""Images in memory or read on access: data sets with all their labels, and the parts that training and testing see."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, Literal, Protocol, overload

import numpy as np
import numpy.typing as npt

# Roles, the labels that training sees.
NORMAL, UNLABELLED, ABNORMAL = 1, 0, -1

# Where a data set comes from: a public one, or a user's own folder, list, arrays or prepared file.
Kind = Literal["named", "folder", "csv", "npz", "beton"]
# Kinds whose images are files, named by path; the others lie in arrays and are named by index.
FILE_KINDS: tuple[Kind, ...] = ("folder", "csv")

Images = npt.NDArray[np.uint8]
Labels = npt.NDArray[np.int64]
Roles = npt.NDArray[np.int8]
Mask = npt.NDArray[np.bool_]


class ImageReader(Protocol):
    """A place that images are read from on access."""

    def read(self, rows: Labels) -> Images:
        """Return the images of some rows: int64 [k] -> uint8 [k, H, W, 3]."""


@dataclass(frozen=True, eq=False)
class LazyImages:
    """Square images that are read on access, in place of an array uint8 [n, S, S, 3].

    Parameters
    ----------
    reader
        The place they are read from.
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
        """The bytes that they would take in memory."""
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


def numbered(part: str, count: int) -> tuple[str, ...]:
    """Return the names of images that lie in one array.

    >>> numbered("train", 2)
    ('train/0', 'train/1')
    """
    return tuple(f"{part}/{index}" for index in range(count))


@dataclass(frozen=True, eq=False)
class Source:
    """A data set with every true label, before anything is hidden."""

    name: str
    train: LabelledImages
    test: LabelledImages
    class_names: tuple[str, ...]


@dataclass(frozen=True)
class Decoding:
    """How image files become images, all of a data set alike.

    Parameters
    ----------
    size
        Side in pixels that each is resized to.
    bit_depth
        Bits of the values of files with more than 8 bits: ``2**bit_depth - 1`` is white. None: such files are refused.
    float_white
        Value of floating-point files that is white. None: such files are refused.
    max_megapixels
        Files with more pixels are refused, in whole millions.
    """

    size: int
    bit_depth: int | None = None
    float_white: float | None = None
    max_megapixels: int = 67

    @property
    def max_pixels(self) -> int:
        """The most pixels that a file may have."""
        return (self.max_megapixels + 1) * 1_000_000 - 1


@dataclass(frozen=True)
class Remark:
    """One sentence on how a user's data was read; with ``doubt``, one that asks the user to look at the data."""

    text: str
    doubt: bool = False


@dataclass(frozen=True, eq=False)
class UserImages:
    """A user's own data, which comes with roles, so that no protocol assigns them.

    Parameters
    ----------
    kind
        ``folder``, ``csv``, ``npz`` or ``beton``.
    source
        ``labels`` may be -1 for unlabelled images.
    roles
        int8 [n] of ``source.train``.
    normal_class
        The id of the normal class.
    digest
        The SHA-256 that stands for the images, where the data comes with one.
    remarks
        How the data was read, where that is worth saying.
    skipped
        Path and reason of the files that cannot be read as images and were left out.
    decoding
        How image files are decoded, or were before they were put into a ``.beton``; None for arrays.
    """

    kind: Kind
    source: Source
    roles: Roles
    normal_class: int = 0
    digest: str | None = None
    remarks: tuple[Remark, ...] = ()
    skipped: tuple[tuple[str, str], ...] = ()
    decoding: Decoding | None = None


@dataclass(frozen=True, eq=False)
class TrainingImages:
    """The images and roles that training uses, without true labels.

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
    """Images to score, and their true classes to compare the scores with.

    Parameters
    ----------
    images
        uint8 [m, H, W, 3].
    abnormal
        bool [m].
    classes
        int64 [m], class ids.
    names
        One name per image.
    """

    __test__ = False  # the name would make pytest collect the class

    images: AnyImages
    abnormal: Mask
    classes: Labels
    names: tuple[str, ...]
