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

from hscl_fast.data.named.origin import Layout, Origin, choose_layout
from hscl_fast.data.types import LabelledImages, Source

ORIGIN = Origin(
    "fashion_mnist",
    "https://github.com/zalandoresearch/fashion-mnist",
    "run apt-get install dataset-fashion-mnist and add --data.root /usr/share/datasets/fashion-mnist, or run "
    "python -c \"import torchvision; torchvision.datasets.FashionMNIST('{root}', download=True)\"",
)
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
_LARGEST = 2**31


def layouts(root: Path, root_given: bool) -> list[Layout]:
    """Return the places of the four files: ``root``, torchvision's sub-folder, and Debian's without a root."""
    folders = [root, root / "FashionMNIST" / "raw"]
    if not root_given:
        folders.append(DEBIAN_FOLDER)
    return [tuple(folder / (name + end) for name in _FILES) for folder in folders for end in (".gz", "")]


def load(root: Path, root_given: bool) -> Source:
    """Read Fashion-MNIST.

    Returns
    -------
    Source
        60,000 and 10,000 images, uint8 [n, 28, 28, 3].

    Raises
    ------
    UsageError
        A file is missing or not a valid IDX file, or images and labels do not match.
    """
    paths = choose_layout(ORIGIN, layouts(root, root_given), root)
    return Source(ORIGIN.name, _part("train", *paths[:2]), _part("test", *paths[2:]), CLASS_NAMES)


def _part(part: str, image_file: Path, label_file: Path) -> LabelledImages:
    images, labels = read_idx(image_file, 3), read_idx(label_file, 1)
    if len(images) != len(labels):
        raise ORIGIN.corrupt(image_file, f"it has {len(images)} images but {label_file} has {len(labels)} labels")
    if labels.size and labels.max() >= len(CLASS_NAMES):
        raise ORIGIN.corrupt(label_file, f"it has the label {labels.max()}, expected 0 to {len(CLASS_NAMES) - 1}")
    grey = np.repeat(images[..., None], 3, axis=3)
    return LabelledImages(grey, labels.astype(np.int64), tuple(f"{part}/{i}" for i in range(len(labels))))


def read_idx(path: Path, dimensions: int) -> npt.NDArray[np.uint8]:
    """Read an IDX file of unsigned bytes, plain or compressed with gzip.

    Parameters
    ----------
    path
        The file; ``.gz`` means compressed.
    dimensions
        How many dimensions the array must have.

    Returns
    -------
    uint8 array of that many dimensions

    Raises
    ------
    UsageError
        The magic number, the dimensions or the number of bytes is wrong, or the compressed stream is damaged.
    """
    opener = gzip.open if path.suffix == ".gz" else open
    try:
        with opener(path, "rb") as stream:
            return _read_idx(cast(IO[bytes], stream), path, dimensions)
    except (OSError, EOFError, zlib.error) as error:
        raise ORIGIN.corrupt(path, f"it cannot be read ({error})") from None


def _read_idx(stream: IO[bytes], path: Path, dimensions: int) -> npt.NDArray[np.uint8]:
    header = stream.read(4 + 4 * dimensions)
    magic = bytes((0, 0, _UNSIGNED_BYTE, dimensions))
    if header[:4] != magic:
        raise ORIGIN.corrupt(path, f"it begins with {header[:4].hex() or 'nothing'}, an IDX file with {magic.hex()}")
    if len(header) < 4 + 4 * dimensions:
        raise ORIGIN.corrupt(path, f"its header has {len(header)} bytes, expected {4 + 4 * dimensions}")
    shape = struct.unpack(f">{dimensions}I", header[4:])
    size = math.prod(shape)
    if size > _LARGEST or 0 in shape[1:]:
        raise ORIGIN.corrupt(path, f"its header asks for the shape {list(shape)}")
    # One byte more than promised: enough to see trailing data without decompressing all of it.
    body = stream.read(size + 1)
    if len(body) != size:
        found = "more" if len(body) > size else str(len(body))
        raise ORIGIN.corrupt(path, f"its header promises {size} bytes of shape {list(shape)}, but it has {found}")
    return np.frombuffer(body, np.uint8).reshape(shape)
