"""The layout of a ``.beton``, FFCV's file format, version 2 (ffcv/types.py), with the four fields used here.

A header; a descriptor of each field; one row per sample with its numbers and the place of its image; pages of image
bytes, where no image crosses a page; the table of allocations. All little-endian.
"""

from __future__ import annotations

import numpy as np

VERSION = 2
PAGE = 1 << 22  # bytes; holds the largest image, 1024 x 1024 pixels
RAW, JPEG = 1, 0  # an image's mode
MODES = {"raw": RAW, "jpeg": JPEG}
# Name and FFCV's type id of each field: an RGB image, and integers.
FIELDS = (("image", 2), ("role", 1), ("index", 1), ("part", 1))
TRAIN, TEST = 0, 1  # the part

HEADER = np.dtype(
    [
        ("version", "<u2"),
        ("num_fields", "<u2"),
        ("page_size", "<u4"),
        ("num_samples", "<u8"),
        ("alloc_table_ptr", "<u8"),
    ],
    align=True,
)
DESCRIPTOR = np.dtype([("type_id", "<u1"), ("name", "<u1", (16,)), ("arguments", "<u1", (1024,))], align=True)
IMAGE = np.dtype([("mode", "<u1"), ("width", "<u2"), ("height", "<u2"), ("data_ptr", "<u8")])
SAMPLE = np.dtype([("f0", IMAGE), ("f1", "<i8"), ("f2", "<i8"), ("f3", "<i8")], align=True)
ALLOCATION = np.dtype([("sample_id", "<u8"), ("ptr", "<u8"), ("size", "<u8")])

SAMPLES_START = HEADER.itemsize + len(FIELDS) * DESCRIPTOR.itemsize


def descriptors() -> np.ndarray:
    """Return the descriptors of the fields."""
    rows = np.zeros(len(FIELDS), DESCRIPTOR)
    for row, (name, type_id) in zip(rows, FIELDS, strict=True):
        row["type_id"] = type_id
        row["name"][: len(name)] = np.frombuffer(name.encode("ascii"), np.uint8)
    return rows
