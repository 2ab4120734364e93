"""SVHN, format 2: cropped digits in MATLAB files (http://ufldl.stanford.edu/housenumbers/)."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from hscl_fast.data.named.origin import Layout, Origin, choose_layout
from hscl_fast.data.types import LabelledImages, Source

ORIGIN = Origin(
    "svhn",
    "http://ufldl.stanford.edu/housenumbers/",
    "run python -c \"import torchvision; [torchvision.datasets.SVHN('{root}', split=part, download=True) "
    "for part in ('train', 'test')]\"",
)


def layouts(root: Path, _root_given: bool) -> list[Layout]:
    """Return the places of the two files."""
    return [tuple(folder / f"{part}_32x32.mat" for part in ("train", "test")) for folder in (root, root / "svhn")]


def load(root: Path) -> Source:
    """Read SVHN: 73,257 and 26,032 images, uint8 [n, 32, 32, 3], classes 0 to 9; UsageError if missing or corrupt."""
    train, test = choose_layout(ORIGIN, layouts(root, True), root)
    return Source("svhn", _part("train", train), _part("test", test), tuple(str(digit) for digit in range(10)))


def _part(part: str, path: Path) -> LabelledImages:
    from scipy.io import loadmat  # here, so that other data sets do not wait for scipy

    try:
        content = loadmat(path)
    except Exception as error:  # a damaged file makes the reader raise almost anything
        raise ORIGIN.corrupt(path, f"it cannot be read as a MATLAB file ({error})") from None
    images, labels = content.get("X"), content.get("y")
    if images is None or images.dtype != np.uint8 or images.ndim != 4 or images.shape[:3] != (32, 32, 3):
        raise ORIGIN.corrupt(path, "its X is no uint8 array [32, 32, 3, n]")
    if labels is None or labels.dtype.kind not in "iuf" or labels.size != images.shape[3]:
        raise ORIGIN.corrupt(path, f"its y does not hold one number for each of {images.shape[3]} images")
    digits = labels.reshape(-1)
    if not np.isin(digits, np.arange(11)).all():
        raise ORIGIN.corrupt(path, "its y holds labels other than 1 to 10")
    names = tuple(f"{part}/{i}" for i in range(len(digits)))
    # The files say 10 for the digit 0.
    return LabelledImages(np.ascontiguousarray(images.transpose(3, 0, 1, 2)), digits.astype(np.int64) % 10, names)
