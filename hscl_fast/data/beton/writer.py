"""Writes a ``.beton`` one image at a time, in the main process.

FFCV's own writer waits forever for a worker that a bad image or a full disk has ended.
"""

from __future__ import annotations

from typing import BinaryIO

import numpy as np

from hscl_fast.data.beton.format import (
    ALLOCATION,
    FIELDS,
    HEADER,
    MODES,
    PAGE,
    SAMPLE,
    SAMPLES_START,
    VERSION,
    descriptors,
)


class BetonWriter:
    """Writes the samples of a ``.beton`` in order.

    Parameters
    ----------
    file
        Open for writing, empty.
    capacity
        The largest number of samples.
    size
        Side of the images in pixels.
    encoding
        ``raw`` or ``jpeg``, the encoding of every image.
    """

    def __init__(self, file: BinaryIO, capacity: int, size: int, encoding: str) -> None:
        self._file, self._size, self._mode = file, size, MODES[encoding]
        self._samples: list[tuple[tuple[int, ...], int, int, int]] = []
        self._allocations: list[tuple[int, int, int]] = []
        metadata_end = SAMPLES_START + capacity * SAMPLE.itemsize
        self._end = -(-metadata_end // PAGE) * PAGE
        file.seek(self._end)

    def append(self, data: bytes, role: int, index: int, part: int) -> None:
        """Add a sample; ``data`` are the bytes of its image."""
        left = PAGE - self._end % PAGE
        if len(data) > left:
            self._end += left
            self._file.seek(self._end)
        self._allocations.append((len(self._samples), self._end, len(data)))
        self._samples.append(((self._mode, self._size, self._size, self._end), role, index, part))
        self._file.write(data)
        self._end += len(data)

    def finish(self) -> int:
        """Write the tables and the header; return the length of the file."""
        table = -(-self._end // PAGE) * PAGE
        self._file.seek(table)
        self._file.write(np.array(self._allocations, ALLOCATION).tobytes())
        length = self._file.tell()
        header = np.zeros(1, HEADER)
        header[0] = (VERSION, len(FIELDS), PAGE, len(self._samples), table)
        self._file.seek(0)
        samples = np.zeros(len(self._samples), SAMPLE)  # zeros: the padding must not hold random bytes
        samples[:] = self._samples
        for part in (header, descriptors(), samples):
            self._file.write(part.tobytes())
        return length
