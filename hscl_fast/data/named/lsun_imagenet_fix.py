"""LSUN (fix) and ImageNet (fix): folders of 32x32 PNG files, resized without the artefacts of the older copies.

Made by CSI's authors (Tack et al. 2020, https://github.com/alinlab/CSI): resize to 256, centre crop 256, resize to 32.
"""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np

from hscl_fast.config.sections import DataConfig
from hscl_fast.data.named.data_set import Layout, NamedDataSet
from hscl_fast.data.types import Images, LabelledImages, Labels, Source
from hscl_fast.errors import UsageError

PER_CLASS = 1000
TRAIN_PER_CLASS = 800
# LSUN's scenes in alphabetical order, the order in which the ten thousand files are numbered.
SCENES = (
    "bedroom",
    "bridge",
    "church_outdoor",
    "classroom",
    "conference_room",
    "dining_room",
    "kitchen",
    "living_room",
    "restaurant",
    "tower",
)
_NUMBERED = r"correct_resize_(0|[1-9][0-9]{0,8})\.png"


class LsunFix(NamedDataSet):
    """Ten scenes; image i is of class i // 1000, and the first 800 of each class train."""

    def layouts(self, root: Path, root_given: bool) -> list[Layout]:
        """Return one of the numbered files of each folder; :meth:`load` checks that none is missing."""
        return [_any_file(folder, "correct_resize_*.png", "correct_resize_0.png") for folder in _folders(self, root)]

    def load(self, files: Layout, config: DataConfig) -> Source:
        """Read LSUN (fix): 8,000 and 2,000 images, uint8 [n, 32, 32, 3], in the order of their numbers."""
        folder = files[0].parent
        numbers = {int(match[1]) for path in folder.iterdir() if (match := re.fullmatch(_NUMBERED, path.name))}
        total = PER_CLASS * len(SCENES)
        if absent := sorted(set(range(total)) - numbers):
            raise UsageError(
                f"{self.name} is incomplete: {folder} lacks {len(absent)} of {total} files, the first one "
                f"correct_resize_{absent[0]}.png. Unpack it again from {self.url}."
            )
        order = np.arange(total)
        trains = order % PER_CLASS < TRAIN_PER_CLASS
        return Source(self.name, self._part(folder, order[trains]), self._part(folder, order[~trains]), SCENES)

    def _part(self, folder: Path, numbers: Labels) -> LabelledImages:
        names = tuple(f"correct_resize_{number}.png" for number in numbers)
        return LabelledImages(_read([folder / name for name in names], self.size), numbers // PER_CLASS, names)


class ImageNetFix(NamedDataSet):
    """A set of anomalies of one class, without test images."""

    def layouts(self, root: Path, root_given: bool) -> list[Layout]:
        """Return one PNG file of each folder; the shared default root holds PNG files of other data sets too."""
        folders = _folders(self, root) if root_given else _folders(self, root)[:1]
        return [_any_file(folder, "*.png", "*.png") for folder in folders]

    def load(self, files: Layout, config: DataConfig) -> Source:
        """Read ImageNet (fix): ``train`` uint8 [n, 32, 32, 3] in the order of the file names, ``test`` empty."""
        paths = sorted(files[0].parent.glob("*.png"))
        images = _read(paths, self.size)
        train = LabelledImages(images, np.zeros(len(paths), np.int64), tuple(path.name for path in paths))
        test = LabelledImages(images[:0], np.zeros(0, np.int64), ())
        return Source(self.name, train, test, ("imagenet",))


def _folders(data_set: NamedDataSet, root: Path) -> list[Path]:
    return [root / data_set.name, root]


def _any_file(folder: Path, pattern: str, otherwise: str) -> Layout:
    return (next(iter(folder.glob(pattern)), folder / otherwise),)


def _read(paths: list[Path], size: int) -> Images:
    from hscl_fast.data.decode import load_images  # here, so that `hscl data list` does not wait for Pillow
    from hscl_fast.data.types import Decoding

    return load_images(paths, Decoding(size))


LSUN_FIX = LsunFix(
    name="lsun_fix",
    size=32,
    classes=10,
    train=8000,
    test=2000,
    url="https://github.com/alinlab/CSI (LSUN_fix)",
    how_to_get="unpack it so that {root}/lsun_fix/correct_resize_0.png exists",
)
IMAGENET_FIX = ImageNetFix(
    name="imagenet_fix",
    size=32,
    classes=1,
    train=10000,
    test=0,
    url="https://github.com/alinlab/CSI (ImageNet_fix)",
    how_to_get="unpack its PNG files into {root}/imagenet_fix",
)
