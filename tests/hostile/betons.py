"""Hostile .beton files under a sidecar whose checksum is right: pointers, sizes and tables that lie."""

import json
import struct

import numpy as np

from hostile.build import copy, fifo, sha256, sparse
from hostile.case import Case
from hscl_fast.data.beton.format import ALLOCATION, HEADER, SAMPLE, SAMPLES_START

COMMANDS = (
    ("data", "verify", "photos.beton"),
    ("train", "photos.beton", "--out", "out", "--recipe", "cpu"),
    ("data", "views", "photos.beton", "--out", "out.png"),
)


class Parts:
    """The tables of a .beton as arrays that write into its bytes."""

    def __init__(self, data):
        self.data = data
        self.header = np.frombuffer(data, HEADER, 1)
        count = int(self.header["num_samples"][0])
        self.samples = np.frombuffer(data, SAMPLE, count, SAMPLES_START)
        self.allocations = np.frombuffer(data, ALLOCATION, count, int(self.header["alloc_table_ptr"][0]))
        self.image = self.samples["f0"]


def header(field, value):
    """An edit of the header."""
    return lambda parts: parts.header.__setitem__(field, value)


def pointer(value):
    """An edit that lets the first image lie elsewhere, in both tables."""

    def edit(parts):
        parts.image["data_ptr"][0] = parts.allocations["ptr"][0] = value

    return edit


def same_place(parts):
    """The second image is the first one again."""
    parts.image["data_ptr"][1] = parts.allocations["ptr"][1] = parts.allocations["ptr"][0]


EDITS = {
    "version": header("version", 3),
    "fields": header("num_fields", 65535),
    "page_size": header("page_size", 1),
    "samples": header("num_samples", 2**63),
    "no_samples": header("num_samples", 0),
    "table_at_0": header("alloc_table_ptr", 0),
    "table_beyond": header("alloc_table_ptr", 2**64 - 1),
    "field_name": lambda parts: parts.data.__setitem__(slice(HEADER.itemsize, HEADER.itemsize + 8), b"pickle\0\0"),
    "pointer_0": pointer(0),
    "pointer_beyond": pointer(2**63),
    "pointer_wraps": pointer(2**64 - 100),
    "pointer_differs": lambda parts: parts.image["data_ptr"].__setitem__(0, 1),
    "size_huge": lambda parts: parts.allocations["size"].__setitem__(0, 2**64 - 1),
    "size_0": lambda parts: parts.allocations["size"].__setitem__(0, 0),
    "size_short": lambda parts: parts.allocations["size"].__setitem__(0, 5),
    "size_of_last": lambda parts: parts.allocations["size"].__setitem__(-1, 1 << 22),
    "same_place": same_place,
    "order": lambda parts: parts.allocations["sample_id"].__setitem__(0, 1),
    "mode": lambda parts: parts.image["mode"].__setitem__(0, 0),
    "width": lambda parts: parts.image["width"].__setitem__(0, 65535),
    "height_0": lambda parts: parts.image["height"].__setitem__(0, 0),
    "role": lambda parts: parts.samples["f1"].__setitem__(0, 99),
    "index": lambda parts: parts.samples["f2"].__setitem__(0, -1),
    "part": lambda parts: parts.samples["f3"].__setitem__(0, 2),
}
CONTENTS = {
    "empty": lambda data: b"",
    "header_only": lambda data: data[: HEADER.itemsize],
    "zeros": lambda data: bytes(len(data)),
    "text": lambda data: b"path,label,split\n" * 100,
    "appended": lambda data: data + b"x",
    "half": lambda data: data[: len(data) // 2],
    "other_endian": lambda data: struct.pack(">HHI", 2, 4, 1 << 22) + data[8:],
}


def seal(box, data):
    """Write the .beton with a sidecar that has its checksum and length."""
    path, sidecar = box.work / "photos.beton", box.work / "photos.beton.json"
    path.write_bytes(data)
    facts = json.loads(sidecar.read_text()) | {"sha256": sha256(data), "bytes": max(1, len(data))}
    sidecar.write_text(json.dumps(facts))


def edited(number, name, edit):
    """A .beton with a table changed."""

    def make(box):
        data = bytearray(copy(box, "photos.beton", "photos.beton.json").read_bytes())
        edit(Parts(data))
        seal(box, bytes(data))

    return Case("beton", name, make, COMMANDS[number % 3], culprit="photos.beton")


def replaced(number, name, content):
    """A .beton of other bytes."""

    def make(box):
        seal(box, content(copy(box, "photos.beton", "photos.beton.json").read_bytes()))

    return Case("beton", name, make, COMMANDS[number % 3], culprit="photos.beton")


def of_file(name, write):
    """A .beton that is made by a function of its path."""

    def make(box):
        path = copy(box, "photos.beton", "photos.beton.json")
        path.unlink()
        write(path)

    return Case("beton", name, make, COMMANDS[0], culprit="photos.beton")


CASES = [
    *(edited(number, name, edit) for number, (name, edit) in enumerate(EDITS.items())),
    *(replaced(number, name, content) for number, (name, content) in enumerate(CONTENTS.items())),
    of_file("sparse", sparse),
    of_file("pipe", fifo),
    of_file("device", lambda path: path.symlink_to("/dev/zero")),
]
