"""CIFAR-10 and CIFAR-100, python or binary version (https://www.cs.toronto.edu/~kriz/cifar.html)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from hscl_fast.config.sections import DataConfig
from hscl_fast.counted import counted
from hscl_fast.data.named.data_set import Layout, NamedDataSet
from hscl_fast.data.named.safe_pickle import load_arrays
from hscl_fast.data.types import Images, LabelledImages, Labels, Source, numbered
from hscl_fast.limited_file import read_limited

_PAGE = "https://www.cs.toronto.edu/~kriz/cifar.html"
_HOW_TO_GET = "run python -c \"import torchvision; torchvision.datasets.{kind}('{{root}}', download=True)\""
_PIXELS = 3 * 32 * 32
_LARGEST = 1 << 28  # bytes of a file; CIFAR-100's have 155 million

CLASSES_10 = ("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck")
SUPERCLASSES_100 = (
    "aquatic_mammals",
    "fish",
    "flowers",
    "food_containers",
    "fruit_and_vegetables",
    "household_electrical_devices",
    "household_furniture",
    "insects",
    "large_carnivores",
    "large_man-made_outdoor_things",
    "large_natural_outdoor_scenes",
    "large_omnivores_and_herbivores",
    "medium_mammals",
    "non-insect_invertebrates",
    "people",
    "reptiles",
    "small_mammals",
    "trees",
    "vehicles_1",
    "vehicles_2",
)
# CSI's groups (Tack et al. 2020) differ from the official ones: the first row, for example, has 31 in place of 30.
CSI_GROUPS = (
    (4, 31, 55, 72, 95),
    (1, 33, 67, 73, 91),
    (54, 62, 70, 82, 92),
    (9, 10, 16, 29, 61),
    (0, 51, 53, 57, 83),
    (22, 25, 40, 86, 87),
    (5, 20, 26, 84, 94),
    (6, 7, 14, 18, 24),
    (3, 42, 43, 88, 97),
    (12, 17, 38, 68, 76),
    (23, 34, 49, 60, 71),
    (15, 19, 21, 32, 39),
    (35, 63, 64, 66, 75),
    (27, 45, 77, 79, 99),
    (2, 11, 36, 46, 98),
    (28, 30, 44, 78, 93),
    (37, 50, 65, 74, 80),
    (47, 52, 56, 59, 96),
    (8, 13, 48, 58, 90),
    (41, 69, 81, 85, 89),
)


@dataclass(frozen=True, kw_only=True)
class _Cifar(NamedDataSet):
    """Either CIFAR.

    Parameters
    ----------
    python_folder, binary_folder
        The folder of each version.
    train_files, test_file
        The files in it; those of the binary version end in ``.bin``.
    columns
        Name and number of classes of each column of labels, from coarse to fine.
    """

    python_folder: str
    binary_folder: str
    train_files: tuple[str, ...]
    test_file: str
    columns: tuple[tuple[str, int], ...]

    def layouts(self, root: Path, root_given: bool) -> list[Layout]:
        """Return the files of the python version and of the binary version."""
        names = (*self.train_files, self.test_file)
        return [
            tuple(root / self.python_folder / name for name in names),
            tuple(root / self.binary_folder / f"{name}.bin" for name in names),
        ]

    def _parts(self, files: Layout) -> tuple[tuple[Images, Labels], tuple[Images, Labels]]:
        """Return images uint8 [n, 32, 32, 3] and labels int64 [n, columns] of train and of test."""
        return self._read(files[:-1]), self._read(files[-1:])

    def _read(self, paths: Sequence[Path]) -> tuple[Images, Labels]:
        parts = [self._binary(path) if path.suffix == ".bin" else self._python(path) for path in paths]
        pixels = np.concatenate([part[0] for part in parts])
        labels = np.concatenate([part[1] for part in parts])
        # Files hold the three channels one after the other.
        images = pixels.reshape(-1, 3, 32, 32).transpose(0, 2, 3, 1)
        return np.ascontiguousarray(images), labels

    def _python(self, path: Path) -> tuple[Images, Labels]:
        try:
            batch = load_arrays(read_limited(path, _LARGEST))
        except (OSError, ValueError) as error:
            raise self.corrupt(path, str(error)) from None
        pixels = batch.get("data")
        if not isinstance(pixels, np.ndarray) or pixels.ndim != 2 or pixels.shape[1] != _PIXELS:
            found = list(pixels.shape) if isinstance(pixels, np.ndarray) else "nothing"
            raise self.corrupt(path, f"its 'data' is {found}, expected an array [n, {_PIXELS}]")
        columns = [self._label_list(path, batch, name, len(pixels)) for name, _ in self.columns]
        return pixels, self._checked(path, np.array(columns, np.int64).T.reshape(-1, len(columns)))

    def _label_list(self, path: Path, batch: dict[str, Any], name: str, count: int) -> list[int]:
        labels = batch.get(name)
        if not isinstance(labels, list) or any(type(label) is not int for label in labels):
            raise self.corrupt(path, f"its {name!r} is not a list of whole numbers")
        if len(labels) != count:
            raise self.corrupt(path, f"it has {counted(count, 'image')} but {len(labels):,} {name!r}")
        if any(not 0 <= label < 2**31 for label in labels):
            raise self.corrupt(path, f"its {name!r} are out of range")
        return labels

    def _binary(self, path: Path) -> tuple[Images, Labels]:
        try:
            data = np.frombuffer(read_limited(path, _LARGEST), np.uint8)
        except OSError as error:
            raise self.corrupt(path, str(error.strerror)) from None
        row = len(self.columns) + _PIXELS
        if not data.size or data.size % row:
            raise self.corrupt(path, f"it has {data.size} bytes, expected a multiple of {row}")
        rows = data.reshape(-1, row)
        labels = rows[:, : len(self.columns)].astype(np.int64)
        return rows[:, len(self.columns) :], self._checked(path, labels)

    def _checked(self, path: Path, labels: Labels) -> Labels:
        for column, (name, classes) in enumerate(self.columns):
            if labels.size and labels[:, column].max() >= classes:
                largest = labels[:, column].max()
                raise self.corrupt(path, f"its {name!r} reach {largest}, expected 0 to {classes - 1}")
        return labels


class Cifar10(_Cifar):
    """Photographs of ten classes of animals and vehicles."""

    def load(self, files: Layout, config: DataConfig) -> Source:
        """Read CIFAR-10: 50,000 and 10,000 images, uint8 [n, 32, 32, 3]."""
        train, test = (
            LabelledImages(images, labels[:, 0], numbered(part, len(images)))
            for part, (images, labels) in zip(("train", "test"), self._parts(files), strict=True)
        )
        return Source(self.name, train, test, CLASSES_10)


class Cifar100(_Cifar):
    """Photographs of 100 classes, in 20 super-classes of five."""

    def load(self, files: Layout, config: DataConfig) -> Source:
        """Read CIFAR-100 with its 20 super-classes as classes and its 100 classes as fine labels.

        ``config.superclasses`` is ``standard``, the official super-classes, or ``csi``, the groups of CSI's code.
        """
        groups = np.empty(100, np.int64)
        for group, members in enumerate(CSI_GROUPS):
            groups[list(members)] = group
        csi = config.superclasses == "csi"
        train, test = (
            LabelledImages(
                images, groups[labels[:, 1]] if csi else labels[:, 0], numbered(part, len(images)), labels[:, 1]
            )
            for part, (images, labels) in zip(("train", "test"), self._parts(files), strict=True)
        )
        names = tuple(f"csi:{name}" for name in SUPERCLASSES_100) if csi else SUPERCLASSES_100
        return Source(self.name, train, test, names)


CIFAR10 = Cifar10(
    name="cifar10",
    size=32,
    classes=10,
    train=50000,
    test=10000,
    url=_PAGE,
    how_to_get=_HOW_TO_GET.format(kind="CIFAR10"),
    python_folder="cifar-10-batches-py",
    binary_folder="cifar-10-batches-bin",
    train_files=tuple(f"data_batch_{i}" for i in range(1, 6)),
    test_file="test_batch",
    columns=(("labels", 10),),
)
CIFAR100 = Cifar100(
    name="cifar100",
    size=32,
    classes=20,
    train=50000,
    test=10000,
    url=_PAGE,
    how_to_get=_HOW_TO_GET.format(kind="CIFAR100"),
    python_folder="cifar-100-python",
    binary_folder="cifar-100-binary",
    train_files=("train",),
    test_file="test",
    columns=(("coarse_labels", 20), ("fine_labels", 100)),
)
