"""SVHN, format 2: cropped digits in MATLAB files (http://ufldl.stanford.edu/housenumbers/)."""

from __future__ import annotations

import struct
import zlib
from pathlib import Path

import numpy as np

from hscl_fast.config.sections import DataConfig
from hscl_fast.counted import counted
from hscl_fast.data.named.data_set import Layout, NamedDataSet
from hscl_fast.data.types import LabelledImages, Source, numbered
from hscl_fast.limited_file import read_limited

_ARRAYS = (*(f"{sign}int{bits}" for sign in ("", "u") for bits in (8, 16, 32, 64)), "single", "double", "char")
_LARGEST = 1 << 29  # bytes of an element; the training images have 225 million
_COMPRESSED = 15  # the type of an element
_HEADER, _TAG = 128, 8  # bytes of the file's header, and of an element's


class Svhn(NamedDataSet):
    """House numbers, of the classes 0 to 9."""

    def layouts(self, root: Path, root_given: bool) -> list[Layout]:
        """Return the places of the two files."""
        return [tuple(folder / f"{part}_32x32.mat" for part in ("train", "test")) for folder in (root, root / "svhn")]

    def load(self, files: Layout, config: DataConfig) -> Source:
        """Read SVHN: 73,257 and 26,032 images, uint8 [n, 32, 32, 3]."""
        train, test = files
        return Source(self.name, self._part("train", train), self._part("test", test), tuple("0123456789"))

    def _part(self, part: str, path: Path) -> LabelledImages:
        from scipy.io import loadmat, whosmat  # here, so that other data sets do not wait for scipy

        try:
            _require_small(path)
            # Other arrays are not read: cells in cells, or a negative size, crash scipy's reader.
            names = [
                name
                for name, shape, kind in whosmat(path)
                if name in ("X", "y") and kind in _ARRAYS and min(shape, default=0) >= 0
            ]
            content = loadmat(path, variable_names=names)
        except Exception as error:  # a damaged file makes the reader raise almost anything
            raise self.corrupt(path, f"it cannot be read as a MATLAB file ({error})") from None
        images, labels = content.get("X"), content.get("y")
        if images is None or images.dtype != np.uint8 or images.ndim != 4 or images.shape[:3] != (32, 32, 3):
            raise self.corrupt(path, "its X is not a uint8 array [32, 32, 3, n]")
        if labels is None or labels.dtype.kind not in "iuf" or labels.size != images.shape[3]:
            raise self.corrupt(path, f"its y does not hold one number for each of {counted(images.shape[3], 'image')}")
        digits = labels.reshape(-1)
        if not np.isin(digits, np.arange(11)).all():
            raise self.corrupt(path, "its y holds labels other than 1 to 10")
        # The files say 10 for the digit 0.
        classes = digits.astype(np.int64) % 10
        return LabelledImages(np.ascontiguousarray(images.transpose(3, 0, 1, 2)), classes, numbered(part, len(digits)))


def _require_small(path: Path) -> None:
    """Raise a ValueError where a compressed element of a MATLAB 5 file, whose sizes may lie, fills the memory."""
    data = read_limited(path, _LARGEST)
    at = _HEADER
    while at + _TAG <= len(data):
        kind, length = struct.unpack_from("<II", data, at)
        packed, total, unpacker = data[at + _TAG : at + _TAG + length], 0, zlib.decompressobj()
        while kind == _COMPRESSED and packed:
            total += len(unpacker.decompress(packed, 1 << 20))
            packed = unpacker.unconsumed_tail
            if total > _LARGEST:
                raise ValueError(f"it is compressed and has more than {_LARGEST:,} bytes")
        at += _TAG + length


SVHN = Svhn(
    name="svhn",
    size=32,
    classes=10,
    train=73257,
    test=26032,
    url="http://ufldl.stanford.edu/housenumbers/",
    how_to_get="run python -c \"import torchvision; [torchvision.datasets.SVHN('{root}', split=part, download=True) "
    "for part in ('train', 'test')]\"",
)
