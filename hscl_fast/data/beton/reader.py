"""Reads a ``.beton`` and trusts nothing in it, because FFCV follows the file's pointers unchecked."""

from __future__ import annotations

import hashlib
import io
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import NoReturn

import numpy as np
import numpy.typing as npt
from PIL import Image

from hscl_fast.counted import counted
from hscl_fast.data.beton.ffcv_import import import_ffcv
from hscl_fast.data.beton.format import (
    ALLOCATION,
    FIELDS,
    HEADER,
    JPEG,
    MODES,
    PAGE,
    RAW,
    SAMPLE,
    SAMPLES_START,
    TEST,
    TRAIN,
    VERSION,
    descriptors,
)
from hscl_fast.data.beton.sidecar import Sidecar, read_sidecar, sidecar_path
from hscl_fast.data.damage import jpeg_damage
from hscl_fast.data.types import Decoding, Images, LabelledImages, Labels, LazyImages, Source, UserImages
from hscl_fast.errors import UsageError

_CHUNK = 1 << 24  # bytes hashed at a time
_ROWS = 4096  # JPEGs that are decoded at a time


@dataclass(frozen=True, eq=False)
class Beton:
    """A ``.beton`` in which every pointer was checked.

    Parameters
    ----------
    path
        The file.
    encoding, size
        ``raw`` or ``jpeg``, and the images' side in pixels.
    starts, lengths
        int64 [n], where the bytes of each image begin, and how many there are.
    """

    path: Path
    encoding: str
    size: int
    starts: Labels
    lengths: Labels

    def read(self, rows: Labels) -> Images:
        """Return the images of some samples, bit for bit as FFCV's loader gives them."""
        images = np.empty((len(rows), self.size, self.size, 3), np.uint8)
        for image, row in zip(images, rows, strict=True):
            data = self._bytes[self.starts[row] : self.starts[row] + self.lengths[row]]
            if self.encoding == "raw":
                image.reshape(-1)[:] = data
            elif self._decode(data, image, self.size, self.size, self.size, self.size) != 0:
                raise UsageError(f"{self.path}: image {row} is not a whole JPEG. Prepare the data again.")
        return images

    @cached_property
    def _bytes(self) -> npt.NDArray[np.uint8]:
        return np.memmap(self.path, np.uint8, "r")

    @cached_property
    def _decode(self):  # type: ignore[no-untyped-def]
        return import_ffcv().libffcv.imdecode


def open_beton(path: Path) -> tuple[Beton, Sidecar]:
    """Open a ``.beton`` after checking all of it, its checksum first.

    Raises
    ------
    UsageError
        The file or its sidecar is missing, truncated, changed, or was not written by ``hscl data prepare``.
    """
    sidecar = read_sidecar(path)
    try:
        with path.open("rb") as file:
            _check_sum(path, sidecar, file)
            return _check_layout(_Content(path, sidecar, file)), sidecar
    except OSError as error:
        raise UsageError(f"{path} cannot be read ({error.strerror}). Give the path of a .beton.") from None


def open_user_beton(path: Path) -> UserImages:
    """Return the images of a ``.beton``, read on access, with the roles that come with them."""
    beton, sidecar = open_beton(path)
    train, test = (
        LabelledImages(
            LazyImages(beton, np.arange(first, first + len(part.name)), sidecar.image_size),
            np.array(part.label, np.int64),
            tuple(part.name),
        )
        for part, first in ((sidecar.train, 0), (sidecar.test, len(sidecar.train.name)))
    )
    source = Source(path.stem, train, test, tuple(sidecar.class_names))
    roles = np.array(sidecar.train.role, np.int8)
    origin = sidecar.origin
    decoding = Decoding(sidecar.image_size, origin.get("bit_depth"), origin.get("float_white"))
    return UserImages("beton", source, roles, sidecar.normal_class, sidecar.sha256, decoding=decoding)


def _refuse(path: Path, reason: str) -> NoReturn:
    raise UsageError(
        f"{path} is not a valid .beton from `hscl data prepare`: {reason}. Copy it again together with "
        f"{sidecar_path(path).name}, or prepare the data again."
    )


def _check_sum(path: Path, sidecar: Sidecar, file: io.BufferedReader) -> None:
    length = path.stat().st_size
    if length != sidecar.bytes:
        _refuse(path, f"it has {length} bytes, but its sidecar says {sidecar.bytes}")
    total = hashlib.sha256()
    while chunk := file.read(_CHUNK):
        total.update(chunk)
    if total.hexdigest() != sidecar.sha256:
        _refuse(path, "its checksum differs from the sidecar's, so one of the two has changed")


class _Content:
    """The tables of the file, read where they must lie; a table that does not fit is refused."""

    def __init__(self, path: Path, sidecar: Sidecar, file: io.BufferedReader) -> None:
        self.path, self.sidecar = path, sidecar
        self._file = file
        self.header = self._table(0, HEADER, 1)[0]
        self.count = sidecar.counts.train + sidecar.counts.test
        self.require(self.header["version"] == VERSION, f"its format version is {self.header['version']}")
        self.require(self.header["num_fields"] == len(FIELDS), f"it has {self.header['num_fields']} fields")
        self.require(self.header["page_size"] == PAGE, f"its page size is {self.header['page_size']}")
        samples = self.header["num_samples"]
        self.require(samples == self.count, f"it has {counted(samples, 'image')}, its sidecar {self.count}")
        found = self._table(HEADER.itemsize, descriptors().dtype, len(FIELDS))
        self.require(found.tobytes() == descriptors().tobytes(), "its fields are not image, role, index and part")
        self.samples = self._table(SAMPLES_START, SAMPLE, self.count)
        self.samples_end = SAMPLES_START + self.samples.nbytes
        self.table = int(self.header["alloc_table_ptr"])
        at_end = self.table + self.count * ALLOCATION.itemsize == sidecar.bytes
        self.require(at_end, f"its table of allocations is not at its end but at {self.table}")
        self.allocations = self._table(self.table, ALLOCATION, self.count)

    def require(self, condition: bool | np.bool_, reason: str) -> None:
        if not condition:
            _refuse(self.path, reason)

    def _table(self, start: int, dtype: np.dtype, count: int) -> np.ndarray:
        if start + count * dtype.itemsize > self.sidecar.bytes:
            _refuse(self.path, "it ends within its tables")
        self._file.seek(start)
        return np.frombuffer(self._file.read(count * dtype.itemsize), dtype)


def _check_layout(content: _Content) -> Beton:
    sidecar, require = content.sidecar, content.require
    image = content.samples["f0"]
    starts, lengths = content.allocations["ptr"], content.allocations["size"]
    pixels = sidecar.image_size**2 * 3
    require((image["mode"] == MODES[sidecar.encoding]).all(), f"not all of its images are {sidecar.encoding}")
    square = (image["width"] == sidecar.image_size) & (image["height"] == sidecar.image_size)
    require(square.all(), f"not all of its images have {sidecar.image_size} x {sidecar.image_size} pixels")
    require((image["data_ptr"] == starts).all(), "an image does not lie where the table of allocations says")
    in_order = (content.allocations["sample_id"] == np.arange(content.count)).all()
    require(in_order and (starts[1:] > starts[:-1]).all(), "its table of allocations is out of order")
    # Before the sums below, which a pointer near 2**64 would wrap around.
    inside = (starts >= content.samples_end) & (starts <= content.table) & (lengths <= PAGE) & (lengths > 0)
    require(inside.all() and (starts + lengths <= content.table).all(), "an image lies outside of the file's pages")
    if MODES[sidecar.encoding] == RAW:
        require((lengths == pixels).all(), f"not all of its images have {pixels} bytes")
    _check_columns(content)
    beton = Beton(content.path, sidecar.encoding, sidecar.image_size, starts.astype(np.int64), lengths.astype(np.int64))
    if MODES[sidecar.encoding] == JPEG:
        _check_jpegs(content, beton)
    return beton


def _check_columns(content: _Content) -> None:
    train, test = content.sidecar.train, content.sidecar.test
    trained, tested = len(train.name), len(test.name)
    columns = {
        "f1": train.role + [0] * tested,
        "f2": [*range(trained), *range(tested)],
        "f3": [TRAIN] * trained + [TEST] * tested,
    }
    for name, values in columns.items():
        content.require((content.samples[name] == values).all(), "its roles and indices differ from the sidecar's")


def _check_jpegs(content: _Content, beton: Beton) -> None:
    """Decode every image, because FFCV gives old or wrong pixels for one that is not whole."""
    data, side = np.memmap(content.path, np.uint8, "r"), content.sidecar.image_size

    def find_fault(row: int) -> str | None:
        start = beton.starts[row]
        image = data[start : start + beton.lengths[row]].tobytes()
        try:
            with Image.open(io.BytesIO(image), formats=("JPEG",)) as opened:
                if opened.size != (side, side) or opened.mode != "RGB":
                    return "is not a JPEG of that size"
        except (OSError, ValueError, SyntaxError):
            return "is not a JPEG"
        damage = jpeg_damage(image, side**2)
        return None if damage is None else f"is not a whole JPEG ({damage})"

    with ThreadPoolExecutor() as pool:
        for first in range(0, content.count, _ROWS):
            rows = range(first, min(first + _ROWS, content.count))
            for row, fault in zip(rows, pool.map(find_fault, rows), strict=True):
                content.require(fault is None, f"image {row} {fault}")
