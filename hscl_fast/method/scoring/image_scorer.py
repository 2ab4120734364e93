"""What evaluation and prediction need of whatever scores images: of HSCL's scores and of a comparator alike."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Protocol

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from hscl_fast.method.image_batches import Advance, ImageSequence, ignore


class ImageScorer(Protocol):
    """Scores images.

    Attributes
    ----------
    name
        The score in files and on pages.
    images_per_batch
        Images per batch of :meth:`score_batches`.
    passes
        Views that go through the network for each image.
    """

    name: str
    images_per_batch: int
    passes: int

    @property
    def constants(self) -> dict[str, Tensor]:
        """Everything that calibration has learned, float32."""

    def score(self, images: ImageSequence, advance: Advance = ignore) -> NDArray[np.float64]:
        """Return the score of every image: uint8 ``[n, H, W, 3]`` -> float64 ``[n]``, higher = more normal."""

    def score_batches(self, batches: Iterator[NDArray[np.uint8]], advance: Advance = ignore) -> NDArray[np.float64]:
        """Return the score of every image of batches."""
