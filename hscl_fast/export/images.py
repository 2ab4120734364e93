"""The images that an export is compared on, at their own sizes."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from hscl_fast.data.decode import ImageFiles, load_shrunk
from hscl_fast.data.split.split import Split
from hscl_fast.data.types import AnyImages, Images, LazyImages
from hscl_fast.errors import UsageError

_COUNT = 100
LARGEST_BATCH = 16  # images
_BATCH_PIXELS = 1 << 22
_ANY_SIZE = 1 << 20  # pixels per side, more than any image has


@dataclass(frozen=True, eq=False)
class OwnSizeImages:
    """Images of a run, evenly spread over a part of its split.

    Parameters
    ----------
    part
        The part in words.
    images, rows
        All images of the part, and which of them these are.
    names
        The names of these, where they are test images.
    """

    part: str
    images: AnyImages
    rows: NDArray[np.int64]
    names: tuple[str, ...] = ()

    def __len__(self) -> int:
        return len(self.rows)

    def batches(self) -> Iterator[Images]:
        """Yield the images in order, uint8 ``[b, H, W, 3]``: some in a row that are equally large, and not too many."""
        batch: list[Images] = []
        for row in self.rows:
            image = self._read(int(row))
            full = len(batch) == LARGEST_BATCH or sum(map(_pixels, batch)) + _pixels(image) > _BATCH_PIXELS
            if batch and (full or batch[0].shape != image.shape):
                yield np.stack(batch)
                batch = []
            batch.append(image)
        yield np.stack(batch)

    def _read(self, row: int) -> Images:
        if isinstance(self.images, LazyImages) and isinstance(self.images.reader, ImageFiles):
            files = self.images.reader
            return load_shrunk(files.paths[self.images.rows[row]], files.decoding, _ANY_SIZE)
        return self.images[row]


def choose_images(split: Split) -> OwnSizeImages:
    """Return up to 100 images: those tested on, else those held out, else those trained on.

    Parameters
    ----------
    split
        With images in arrays at their own size.

    Raises
    ------
    UsageError
        The split has no images.
    """
    parts = {"test": split.test.images, "held-out": split.held_out.images, "training": split.training.images}
    for name, images in parts.items():
        if len(images):
            rows = np.linspace(0, len(images) - 1, min(_COUNT, len(images))).round().astype(np.int64)
            names = tuple(split.test.names[row] for row in rows) if name == "test" else ()
            return OwnSizeImages(f"{name} images", images, rows, names)
    raise UsageError("The run has no images left to compare an exported model on. Restore its data.")


def _pixels(image: Images) -> int:
    return image.shape[0] * image.shape[1]
