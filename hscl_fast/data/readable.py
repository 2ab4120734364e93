"""Reads new images in batches and sets aside those that cannot be read."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

import numpy as np

from hscl_fast.data.bad_images import BadImages
from hscl_fast.data.new_images import NewImage
from hscl_fast.data.types import Decoding, Images


class ReadableImages:
    """Some images, without those that cannot be read.

    Parameters
    ----------
    images
        The images.
    decoding
        How they are decoded.

    Attributes
    ----------
    bad
        The reason by the place in ``images`` of each that could not be read; complete after the last batch.
    """

    def __init__(self, images: Sequence[NewImage], decoding: Decoding) -> None:
        self._images, self._decoding = images, decoding
        self.bad: dict[int, str] = {}

    def batches(self, count: int, skipped: Callable[[int], object]) -> Iterator[Images]:
        """Yield full batches uint8 ``[count, S, S, 3]``, and what is left: the same as if no image were bad.

        ``skipped`` is called with 1 for every bad image.
        """
        batch, filled = self._empty(count, 0), 0
        for place, image in enumerate(self._images):
            try:
                batch[filled] = image.load(self._decoding)
            except BadImages as error:
                self.bad[place] = " ".join(error.files[0][1].split())
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
        return np.empty((min(count, len(self._images) - done), size, size, 3), np.uint8)
