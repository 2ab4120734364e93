"""Fashion-MNIST, and the IDX format it comes in (http://yann.lecun.com/exdb/mnist/, "the IDX file format")."""

from __future__ import annotations

import gzip
import math
import struct
import zlib
from pathlib import Path
from typing import IO, cast

import numpy as np
import numpy.typing as npt

from hscl_fast.config.sections import DataConfig
from hscl_fast.counted import counted
from hscl_fast.data.named.data_set import Layout, NamedDataSet
from hscl_fast.data.types import LabelledImages, Source, numbered

CLASS_NAMES = (
    "t-shirt/top",
    "trouser",
    "pullover",
    "dress",
    "coat",
    "sandal",
    "shirt",
    "sneaker",
    "bag",
    "ankle boot",
)
DEBIAN_FOLDER = Path("/usr/share/datasets/fashion-mnist")

_FILES = (
    "train-images-idx3-ubyte",
    "train-labels-idx1-ubyte",
    "t10k-images-idx3-ubyte",
    "t10k-labels-idx1-ubyte",
)
_UNSIGNED_BYTE = 0x08
_LARGEST = 2**27  # bytes, more than twice those of the training images


class FashionMnist(NamedDataSet):
    """Photographs of clothes in four IDX files."""

    def layouts(self, root: Path, root_given: bool) -> list[Layout]:
        """Return the places of the four files: ``root``, torchvision's sub-folder, and Debian's without a root."""
        folders = [root, root / "FashionMNIST" / "raw"]
        if not root_given:
            folders.append(DEBIAN_FOLDER)
        return [tuple(folder / (name + end) for name in _FILES) for folder in folders for end in (".gz", "")]

    def load(self, files: Layout, config: DataConfig) -> Source:
        """Read Fashion-MNIST: 60,000 and 10,000 images, uint8 [n, 28, 28, 3]."""
        return Source(self.name, self._part("train", *files[:2]), self._part("test", *files[2:]), CLASS_NAMES)

    def _part(self, part: str, image_file: Path, label_file: Path) -> LabelledImages:
        images, labels = self._array(image_file, 3), self._array(label_file, 1)
        if len(images) != len(labels):
            raise self.corrupt(
                image_file,
                f"it has {counted(len(images), 'image')} but {label_file} has {counted(len(labels), 'label')}",
            )
        if labels.size and labels.max() >= len(CLASS_NAMES):
            raise self.corrupt(label_file, f"it has the label {labels.max()}, expected 0 to {len(CLASS_NAMES) - 1}")
        grey = np.repeat(images[..., None], 3, axis=3)
        return LabelledImages(grey, labels.astype(np.int64), numbered(part, len(labels)))

    def _array(self, path: Path, dimensions: int) -> npt.NDArray[np.uint8]:
        try:
            return read_idx(path, dimensions)
        except ValueError as error:
            raise self.corrupt(path, str(error)) from None


FASHION_MNIST = FashionMnist(
    name="fashion_mnist",
    size=28,
    classes=10,
    train=60000,
    test=10000,
    url="https://github.com/zalandoresearch/fashion-mnist",
    how_to_get="run apt-get install dataset-fashion-mnist and add --data.root /usr/share/datasets/fashion-mnist, or "
    "run python -c \"import torchvision; torchvision.datasets.FashionMNIST('{root}', download=True)\"",
)


def read_idx(path: Path, dimensions: int) -> npt.NDArray[np.uint8]:
    """Read an IDX file of unsigned bytes, plain or compressed with gzip.

    Parameters
    ----------
    path
        The file; ``.gz`` means compressed.
    dimensions
        The number of dimensions that the array must have.

    Returns
    -------
    uint8 array of that many dimensions

    Raises
    ------
    ValueError
        The magic number, the dimensions or the number of bytes is wrong, or the compressed stream is damaged.
    """
    opener = gzip.open if path.suffix == ".gz" else open
    try:
        with opener(path, "rb") as stream:
            return _read_idx(cast(IO[bytes], stream), dimensions)
    except (OSError, EOFError, zlib.error) as error:
        raise ValueError(f"it cannot be read ({error})") from None


def _read_idx(stream: IO[bytes], dimensions: int) -> npt.NDArray[np.uint8]:
    header = stream.read(4 + 4 * dimensions)
    magic = bytes((0, 0, _UNSIGNED_BYTE, dimensions))
    if header[:4] != magic:
        raise ValueError(f"it begins with {header[:4].hex() or 'nothing'}, an IDX file with {magic.hex()}")
    if len(header) < 4 + 4 * dimensions:
        raise ValueError(f"its header has {len(header)} bytes, expected {4 + 4 * dimensions}")
    shape = struct.unpack(f">{dimensions}I", header[4:])
    size = math.prod(shape)
    if size > _LARGEST or 0 in shape[1:]:
        raise ValueError(f"its header asks for the shape {list(shape)}")
    # One byte more than promised shows whether there is trailing data, without decompressing all of it.
    body = stream.read(size + 1)
    if len(body) != size:
        found = "more" if len(body) > size else str(len(body))
        raise ValueError(f"its header promises {size} bytes of shape {list(shape)}, but it has {found}")
    return np.frombuffer(body, np.uint8).reshape(shape)
