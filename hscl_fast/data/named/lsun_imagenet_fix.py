"""LSUN (fix) and ImageNet (fix): folders of 32x32 PNG files, resized without the artefacts of the older copies.

Made by CSI's authors (Tack et al. 2020, https://github.com/alinlab/CSI): resize to 256, centre crop 256, resize to 32.
"""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np

from hscl_fast.data.decode import load_images
from hscl_fast.data.named.origin import Origin
from hscl_fast.data.types import LabelledImages, Source
from hscl_fast.errors import UsageError

SIZE = 32
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
LSUN = Origin(
    "lsun_fix",
    "https://github.com/alinlab/CSI (LSUN_fix)",
    "unpack it so that {root}/lsun_fix/correct_resize_0.png exists",
)
IMAGENET = Origin(
    "imagenet_fix",
    "https://github.com/alinlab/CSI (ImageNet_fix)",
    "unpack its PNG files into {root}/imagenet_fix",
)


def lsun_folders(root: Path, _root_given: bool) -> list[Path]:
    """Return the folders LSUN (fix) is looked for in."""
    return [root / "lsun_fix", root]


def imagenet_folders(root: Path, root_given: bool) -> list[Path]:
    """Return the folders ImageNet (fix) is looked for in; the shared default root holds other PNG files too."""
    return [root / "imagenet_fix", root] if root_given else [root / "imagenet_fix"]


def find_lsun(root: Path, root_given: bool) -> Path | None:
    """Return the folder that has LSUN (fix), or None."""
    return next((f for f in lsun_folders(root, root_given) if any(f.glob("correct_resize_*.png"))), None)


def find_imagenet(root: Path, root_given: bool) -> Path | None:
    """Return the folder that has ImageNet (fix), or None."""
    return next((f for f in imagenet_folders(root, root_given) if any(f.glob("*.png"))), None)


def load_lsun(root: Path, root_given: bool) -> Source:
    """Read LSUN (fix): image i is of class i // 1000, and the first 800 of each class train.

    Returns
    -------
    Source
        8,000 and 2,000 images, uint8 [n, 32, 32, 3], in the order of their numbers.

    Raises
    ------
    UsageError
        The folder or one of the 10,000 files is missing, or a file is no image.
    """
    folder = find_lsun(root, root_given)
    if folder is None:
        raise LSUN.missing([f / "correct_resize_0.png" for f in lsun_folders(root, root_given)], root)
    numbers = {int(match[1]) for path in folder.iterdir() if (match := re.fullmatch(_NUMBERED, path.name))}
    total = PER_CLASS * len(SCENES)
    if absent := sorted(set(range(total)) - numbers):
        raise UsageError(
            f"lsun_fix is incomplete: {folder} lacks {len(absent)} of {total} files, the first one "
            f"correct_resize_{absent[0]}.png. Unpack it again from {LSUN.url}."
        )
    order = np.arange(total)
    trains = order % PER_CLASS < TRAIN_PER_CLASS
    train, test = (_lsun_part(folder, order[mask]) for mask in (trains, ~trains))
    return Source("lsun_fix", train, test, SCENES)


_NUMBERED = r"correct_resize_(0|[1-9][0-9]{0,8})\.png"


def _lsun_part(folder: Path, numbers: np.ndarray) -> LabelledImages:
    names = tuple(f"correct_resize_{number}.png" for number in numbers)
    return LabelledImages(load_images([folder / name for name in names], SIZE), numbers // PER_CLASS, names)


def load_imagenet(root: Path, root_given: bool) -> Source:
    """Read ImageNet (fix), a set of anomalies of one class without test images.

    Returns
    -------
    Source
        ``train`` uint8 [n, 32, 32, 3] in the order of the file names, ``test`` empty.

    Raises
    ------
    UsageError
        The folder is missing or has no PNG file, or a file is no image.
    """
    folder = find_imagenet(root, root_given)
    if folder is None:
        raise IMAGENET.missing([f / "*.png" for f in imagenet_folders(root, root_given)], root)
    paths = sorted(folder.glob("*.png"))
    images = load_images(paths, SIZE)
    train = LabelledImages(images, np.zeros(len(paths), np.int64), tuple(path.name for path in paths))
    test = LabelledImages(images[:0], np.zeros(0, np.int64), ())
    return Source("imagenet_fix", train, test, ("imagenet",))
