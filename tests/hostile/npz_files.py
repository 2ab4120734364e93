"""Hostile NPZ files: pickled objects, bombs, headers that lie, wrong arrays and damaged archives."""

import io
import struct
import zipfile
import zlib

import numpy as np

from hostile.build import code, deflated_zeros, fifo, sparse
from hostile.case import ACCEPTED, Case

IMAGES = np.arange(6 * 12 * 12 * 3, dtype=np.uint8).reshape(6, 12, 12, 3)
Y = np.array([1, 1, 0, 0, -1, -1])
GOOD = {"images": IMAGES, "y": Y, "test_images": IMAGES[:4], "test_y": np.array([1, 1, -1, -1])}


def npz(**arrays):
    """The bytes of an NPZ file; an array of None is left out."""
    file = io.BytesIO()
    np.savez(file, **{name: value for name, value in (GOOD | arrays).items() if value is not None})
    return file.getvalue()


def with_member(name, data, method=zipfile.ZIP_STORED):
    """An NPZ file with one member replaced by any bytes."""
    file = io.BytesIO(npz(**{name.removesuffix(".npy"): None}) if name.endswith(".npy") else npz())
    with zipfile.ZipFile(file, "a", method) as archive:
        archive.writestr(name, data)
    return file.getvalue()


def array_file(header, body=b"", version=1):
    """An NPY file with any text as its header."""
    length = struct.pack("<H" if version == 1 else "<I", len(header))
    return b"\x93NUMPY" + bytes([version, 0]) + length + header.encode() + body


def described(shape, kind="|u1", more=""):
    """The header of an array."""
    return f"{{'descr': {kind!r}, 'fortran_order': False, 'shape': {shape}, {more}}}\n"


def bomb(gibibytes, shape):
    """An archive of a few megabytes whose images take gigabytes; its checksum is wrong, which shows at the end only."""
    header = array_file(described(shape))
    size = (gibibytes << 30) + len(header)
    stream = io.BytesIO()
    packer = zlib.compressobj(9, zlib.DEFLATED, -15)
    packed = packer.compress(header) + packer.flush(zlib.Z_FULL_FLUSH) + deflated_zeros(gibibytes << 30)
    stream.write(struct.pack("<4sHHHHHIIIHH", b"PK\3\4", 20, 0, 8, 0, 0, 0, len(packed), size, 10, 0) + b"images.npy")
    stream.write(packed)
    start = stream.tell()
    entry = struct.pack(
        "<4sHHHHHHIIIHHHHHII", b"PK\1\2", 20, 20, 0, 8, 0, 0, 0, len(packed), size, 10, 0, 0, 0, 0, 0, 0
    )
    stream.write(entry + b"images.npy")
    stream.write(struct.pack("<4sHHHHIIH", b"PK\5\6", 0, 0, 1, 1, stream.tell() - start, start, 0))
    return stream.getvalue()


def changed(data, at, value):
    """Bytes with some of them replaced."""
    return data[:at] + value + data[at + len(value) :]


def central(data):
    """Where the first entry of an archive's list of members begins."""
    return data.index(b"PK\1\2")


CONTENTS = {
    "empty": lambda box: b"",
    "text": lambda box: b"path,label,split\n",
    "half": lambda box: npz()[:800],
    "no_directory": lambda box: npz()[:-30],
    "pickle": lambda box: code(box),
    "objects": lambda box: npz(images=np.array([{"a": 1}, None], object)),
    "objects_with_code": lambda box: with_member("y.npy", array_file(described("(1,)", "|O"), code(box))),
    "member_is_a_pickle": lambda box: with_member("images.npy", code(box)),
    "expression": lambda box: with_member("y.npy", array_file(f"__import__('os').system('touch {box.harm}')\n")),
    "dtype_expression": lambda box: with_member("y.npy", array_file(described("(1,)", "__import__('os')"))),
    "shape_lies": lambda box: with_member("images.npy", array_file(described("(9000000, 32, 32, 3)"), bytes(99))),
    "shape_beyond_64_bits": lambda box: with_member("images.npy", array_file(described(f"({2**62}, {2**62})"))),
    "shape_negative": lambda box: with_member("images.npy", array_file(described("(-1, 12, 12, 3)"), bytes(432))),
    "shape_nested": lambda box: with_member("y.npy", array_file("(" * 900 + ")" * 900 + "\n")),
    "header_of_4_gigabytes": lambda box: with_member("y.npy", b"\x93NUMPY\2\0\xff\xff\xff\xff" + bytes(100)),
    "header_of_a_megabyte": lambda box: with_member("y.npy", array_file(" " * 1_000_000, version=2)),
    "version": lambda box: with_member("y.npy", array_file(described("(1,)"), version=9)),
    "floats": lambda box: npz(images=IMAGES / 255),
    "dimensions": lambda box: npz(images=IMAGES.reshape(-1)),
    "channels": lambda box: npz(images=np.zeros((6, 12, 12, 7), np.uint8)),
    "zero_pixels": lambda box: npz(images=np.zeros((6, 0, 12, 3), np.uint8)),
    "no_images": lambda box: npz(images=IMAGES[:0], y=Y[:0]),
    "y_missing": lambda box: npz(y=None),
    "y_short": lambda box: npz(y=Y[:2]),
    "y_two": lambda box: npz(y=Y * 2),
    "y_not_finite": lambda box: npz(y=Y + np.nan),
    "y_text": lambda box: npz(y=np.array(["normal"] * 6)),
    "y_complex": lambda box: npz(y=Y * 1j),
    "y_records": lambda box: npz(y=np.zeros(6, [("a", "i4"), ("b", "f8")])),
    "y_dates": lambda box: npz(y=np.zeros(6, "datetime64[s]")),
    "y_matrix": lambda box: npz(y=np.zeros((6, 6, 6))),
    "test_unlabelled": lambda box: npz(test_y=np.array([1, 0, -1, -1])),
    "test_size": lambda box: npz(test_images=np.zeros((4, 9, 9, 3), np.uint8)),
    "tiny": lambda box: npz(images=IMAGES[:, :2, :2], test_images=IMAGES[:4, :2, :2]),
    "encrypted": lambda box: changed(npz(), central(npz()) + 8, b"\1\0"),
    "method": lambda box: changed(npz(), central(npz()) + 10, b"\x63\0"),
    "checksum": lambda box: changed(npz(), central(npz()) + 16, b"abcd"),
    "offset": lambda box: changed(npz(), central(npz()) + 42, struct.pack("<I", 2**31)),
    "bomb_colour": lambda box: bomb(3, f"({2**20}, 32, 32, 3)"),
    "bomb_grey": lambda box: bomb(1, f"({2**20}, 32, 32)"),
}
COMMANDS = (
    ("data", "verify", "data.npz"),
    ("data", "prepare", "data.npz", "--out", "out.beton"),
    ("train", "data.npz", "--out", "out", "--recipe", "cpu"),
    ("data", "views", "data.npz", "--out", "out.png"),
)


def content_case(number, name, content):
    """An NPZ file of that content."""
    command = COMMANDS[0] if name in ("bomb_grey", "bomb_colour") else COMMANDS[number % len(COMMANDS)]
    make = lambda box: (box.work / "data.npz").write_bytes(content(box))  # noqa: E731
    return Case("npz", name, make, command, culprit="data.npz")


def file_case(name, make):
    """An NPZ file that is no regular file."""
    return Case("npz", name, make, COMMANDS[0], culprit="data.npz")


def also_traversal(box):
    """A good archive with a member whose name leads out of the folder, which is not extracted."""
    (box.work / "data.npz").write_bytes(with_member("../outside/executed", b"x"))


CASES = [
    *(content_case(number, name, content) for number, (name, content) in enumerate(CONTENTS.items())),
    file_case("sparse", lambda box: sparse(box.work / "data.npz")),
    file_case("pipe", lambda box: fifo(box.work / "data.npz")),
    Case("npz", "traversal", also_traversal, COMMANDS[0], ACCEPTED),
]
