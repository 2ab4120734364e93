"""Small data sets in the formats of the paper's, made of scikit-learn's digits, for the smoke budget.

They are read by the same readers as the real ones. A figure that is measured on them says nothing.
"""

from __future__ import annotations

import io
import pickle
import shutil
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from hscl_fast.data.named.cifar import CSI_GROUPS
from hscl_fast.data.named.lsun_imagenet_fix import PER_CLASS, SCENES

_SIDE = 32
_READY = "ready"
_VARIANTS = 20  # different pictures of a scene of LSUN; its reader asks for 10,000 files


def make_smoke_data(folder: Path) -> None:
    """Make the data sets in ``folder``, unless they are there: CIFAR-10, CIFAR-100, SVHN, LSUN and ImageNet (fix)."""
    if (folder / _READY).exists():
        return
    shutil.rmtree(folder, ignore_errors=True)  # begun by a command that was killed
    folder.mkdir(parents=True)
    images, labels = _digits()
    _cifar(folder / "cifar-10-batches-py", images, labels)
    _cifar100(folder / "cifar-100-python", images, labels)
    _svhn(folder, images, labels)
    _lsun(folder / "lsun_fix", images, labels)
    _imagenet(folder / "imagenet_fix", images)
    (folder / _READY).touch()


def _digits() -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
    """Return the digits as images ``[n, 32, 32, 3]``, and what they show."""
    from sklearn import datasets

    digits = datasets.load_digits()
    grey = np.rint(digits.images * (255 / 16)).astype(np.uint8)
    large = grey.repeat(_SIDE // 8, axis=1).repeat(_SIDE // 8, axis=2)
    return np.repeat(large[..., None], 3, axis=3), digits.target.astype(np.int64)


def _tinted(images: NDArray[np.uint8], red: float, green: float, blue: float) -> NDArray[np.uint8]:
    tinted: NDArray[np.uint8] = np.rint(images * np.array([red, green, blue])).astype(np.uint8)
    return tinted


def _rows(images: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Return images as CIFAR's files have them, one channel after the other."""
    return np.ascontiguousarray(images.transpose(0, 3, 1, 2)).reshape(len(images), -1)


def _cifar(folder: Path, images: NDArray[np.uint8], labels: NDArray[np.int64]) -> None:
    folder.mkdir()
    for part, name in enumerate((*(f"data_batch_{number}" for number in range(1, 6)), "test_batch")):
        some = slice(50 * part, 50 * (part + 1))
        batch = {"data": _rows(_tinted(images[some], 1.0, 0.9, 0.8)), "labels": labels[some].tolist()}
        (folder / name).write_bytes(pickle.dumps(batch, 4))


def _cifar100(folder: Path, images: NDArray[np.uint8], labels: NDArray[np.int64]) -> None:
    """Write each of the 100 classes as a shade of the digit of its super-class, modulo ten."""
    folder.mkdir()
    coarse_of = {fine: group for group, members in enumerate(CSI_GROUPS) for fine in members}
    for name, count in (("train", 6), ("test", 2)):
        fine = np.repeat(np.arange(100), count)
        coarse = np.array([coarse_of[number] for number in fine.tolist()])
        digits = [np.flatnonzero(labels == number % 10) for number in range(20)]
        chosen = [digits[group][place % len(digits[group])] for place, group in enumerate(coarse.tolist())]
        pictures = images[np.array(chosen)].copy()
        pictures[coarse >= 10, ..., 0] //= 2
        batch = {"data": _rows(pictures), "coarse_labels": coarse.tolist(), "fine_labels": fine.tolist()}
        (folder / name).write_bytes(pickle.dumps(batch, 4))


def _svhn(folder: Path, images: NDArray[np.uint8], labels: NDArray[np.int64]) -> None:
    from scipy.io import savemat

    for name, some in (("train", slice(0, 60)), ("test", slice(60, 120))):
        pictures = _tinted(images[some], 0.5, 0.7, 1.0).transpose(1, 2, 3, 0)
        savemat(folder / f"{name}_32x32.mat", {"X": pictures, "y": np.where(labels[some] == 0, 10, labels[some])})


def _lsun(folder: Path, images: NDArray[np.uint8], labels: NDArray[np.int64]) -> None:
    folder.mkdir()
    for scene in range(len(SCENES)):
        pictures = _tinted(images[labels == scene][:_VARIANTS], 0.8, 1.0, 0.6)
        files = [_png(picture) for picture in pictures]
        for number in range(PER_CLASS):
            (folder / f"correct_resize_{scene * PER_CLASS + number}.png").write_bytes(files[number % _VARIANTS])


def _imagenet(folder: Path, images: NDArray[np.uint8]) -> None:
    folder.mkdir()
    for number, picture in enumerate(255 - images[:50]):
        (folder / f"{number:02}.png").write_bytes(_png(picture))


def _png(picture: NDArray[np.uint8]) -> bytes:
    from PIL import Image

    with io.BytesIO() as buffer:
        Image.fromarray(picture).save(buffer, "PNG", compress_level=1)
        return buffer.getvalue()
