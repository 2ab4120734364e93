"""The images that an export is compared on, at their own sizes."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np
from numpy.typing import NDArray

from hscl_fast.data.decode import ImageFiles, load_shrunk
from hscl_fast.data.new_images import NewImage
from hscl_fast.data.split.split import Split
from hscl_fast.data.types import AnyImages, Decoding, Images, LazyImages
from hscl_fast.errors import UsageError

_COUNT = 100
LARGEST_BATCH = 16  # images
_BATCH_PIXELS = 1 << 22
_ANY_SIZE = 1 << 20  # pixels per side, more than any image has


@dataclass(frozen=True, eq=False)
class OwnSizeImages:
    """Up to 100 images, evenly spread over a part of a run's split or over those that were given.

    Parameters
    ----------
    part
        What they are, in words.
    readers
        Each returns one of them, uint8 ``[H, W, 3]``.
    names
        Their names, where they are test images of the run.
    """

    part: str
    readers: Sequence[Callable[[], Images]]
    names: tuple[str, ...] = ()

    def batches(self) -> Iterator[Images]:
        """Yield the images in order, uint8 ``[b, H, W, 3]``: some in a row that are equally large, and not too many."""
        batch: list[Images] = []
        for read in self.readers:
            image = read()
            full = len(batch) == LARGEST_BATCH or sum(map(_pixels, batch)) + _pixels(image) > _BATCH_PIXELS
            if batch and (full or batch[0].shape != image.shape):
                yield np.stack(batch)
                batch = []
            batch.append(image)
        yield np.stack(batch)


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
            rows = _spread(len(images))
            names = tuple(split.test.names[row] for row in rows) if name == "test" else ()
            return OwnSizeImages(f"{name} images", [partial(_read, images, int(row)) for row in rows], names)
    raise UsageError("The run has no images left to compare an exported model on. Restore its data, or give --images.")


def given_images(images: Sequence[NewImage], decoding: Decoding) -> OwnSizeImages:
    """Return up to 100 of the images that a user gives."""
    readers = [partial(images[row].picture, decoding, _ANY_SIZE) for row in _spread(len(images))]
    return OwnSizeImages("images given", readers)


def _spread(images: int) -> NDArray[np.int64]:
    return np.linspace(0, images - 1, min(_COUNT, images)).round().astype(np.int64)


def _read(images: AnyImages, row: int) -> Images:
    if isinstance(images, LazyImages) and isinstance(images.reader, ImageFiles):
        files = images.reader
        return load_shrunk(files.paths[images.rows[row]], files.decoding, _ANY_SIZE)
    return images[row]


def _pixels(image: Images) -> int:
    return image.shape[0] * image.shape[1]
