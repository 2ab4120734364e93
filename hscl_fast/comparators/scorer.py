"""A trained comparator as what evaluation and prediction score images with."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from hscl_fast.comparators.comparator import Comparator, Scores
from hscl_fast.method.image_batches import Advance, ImageSequence, ignore, slices


class ComparatorScorer:
    """Scores images with a trained comparator.

    Parameters
    ----------
    name
        Its name in the registry.
    comparator
        Trained or loaded.

    Attributes
    ----------
    images_per_batch
        Images per batch.
    passes
        Views per image.
    """

    def __init__(self, name: str, comparator: Comparator) -> None:
        self.name, self.comparator = name, comparator
        self.images_per_batch = comparator.setting.config.evaluate.batch_size
        self.passes = comparator.passes

    @property
    def constants(self) -> dict[str, Tensor]:
        """Nothing: all that it has learned is in its checkpoint."""
        return {}

    def score(self, images: ImageSequence, advance: Advance = ignore) -> Scores:
        """Return the score of every image: uint8 ``[n, H, W, 3]`` -> float64 ``[n]``, higher = more normal."""
        return self.score_batches(slices(images, self.images_per_batch), advance)

    def score_batches(self, batches: Iterator[NDArray[np.uint8]], advance: Advance = ignore) -> Scores:
        """Return the score of every image of batches, as :meth:`score` does."""
        found = [np.zeros(0)]
        for batch in batches:
            found.append(self.comparator.score(batch))
            advance(len(batch))
        return np.concatenate(found)
