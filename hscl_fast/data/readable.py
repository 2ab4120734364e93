"""Reads image files in batches and sets aside those that cannot be read."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import numpy as np

from hscl_fast.data.bad_images import BadImages
from hscl_fast.data.decode import load_image
from hscl_fast.data.types import Decoding, Images


class ReadableFiles:
    """The images of some files, without those that cannot be read.

    Parameters
    ----------
    paths
        The files.
    decoding
        How they are decoded.

    Attributes
    ----------
    bad
        The reason by the place in ``paths`` of each file that could not be read; complete after the last batch.
    """

    def __init__(self, paths: Sequence[Path], decoding: Decoding) -> None:
        self._paths, self._decoding = paths, decoding
        self.bad: dict[int, str] = {}

    def batches(self, count: int, skipped: Callable[[int], object]) -> Iterator[Images]:
        """Yield full batches uint8 ``[count, S, S, 3]``, and what is left: the same as if no file were bad.

        ``skipped`` is called with 1 for every bad file.
        """
        batch, filled = self._empty(count, 0), 0
        for place, path in enumerate(self._paths):
            try:
                batch[filled] = load_image(path, self._decoding)
            except BadImages as error:
                self.bad[place] = error.files[0][1]
                skipped(1)
                continue
            filled += 1
            if filled == len(batch):
                yield batch
                batch, filled = self._empty(count, place + 1), 0
        if filled:
            yield batch[:filled]

    def _empty(self, count: int, done: int) -> Images:
        size = self._decoding.size
        return np.empty((min(count, len(self._paths) - done), size, size, 3), np.uint8)
