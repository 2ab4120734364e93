"""The isolation forest of Liu et al. (2008) on pixels: 100 trees, no labels."""

from __future__ import annotations

import numpy as np
from sklearn.ensemble import IsolationForest

from hscl_fast.comparators.comparator import Comparator, Progress, Scores, State, VisibleImages
from hscl_fast.comparators.pixels import Rows, kept_rows, pixel_rows, rows_from
from hscl_fast.data.types import ABNORMAL
from hscl_fast.method.image_batches import ImageSequence

_ROWS = "rows"


class IsolationForestComparator(Comparator):
    """100 trees on the pixels of all images that are not labelled anomalies.

    What is saved is the pixels: the trees are grown again from them and the seed, which gives the same scores and
    needs no pickle.
    """

    def fit(self, given: VisibleImages, progress: Progress) -> None:
        """Grow the trees."""
        self._grow(pixel_rows(given.images[given.roles != ABNORMAL]))

    def score(self, images: ImageSequence) -> Scores:
        """Return minus the anomaly score of the paper, in [-1, 0]."""
        scores: Scores = self._forest.score_samples(pixel_rows(images)).astype(np.float64)
        return scores

    def state(self) -> State:
        """Return the pixels it was grown from."""
        return {_ROWS: kept_rows(self._rows)}

    def load(self, state: State) -> None:
        """Grow the trees again."""
        if _ROWS not in state:
            raise ValueError(f"has no {_ROWS}")
        self._grow(rows_from(state[_ROWS]))

    def _grow(self, rows: Rows) -> None:
        self._rows = rows
        self._forest = IsolationForest(n_estimators=100, random_state=self.setting.config.runtime.seed % 2**32).fit(
            rows
        )
