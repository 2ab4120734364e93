"""Textbook estimators on the features of an encoder that is not trained further."""

from __future__ import annotations

from typing import Any, Self

import numpy as np
from numpy.typing import NDArray
from sklearn.linear_model import LogisticRegression
from sklearn.neighbors import NearestNeighbors
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

NEIGHBOURS = 5
REGULARISATION = 0.01  # scikit-learn's C; its default, 1, is too weak for more features than labelled images

Rows = NDArray[np.float32]
Normal = NDArray[np.bool_]
Scores = NDArray[np.float64]


class MeanSimilarity:
    """The cosine to the mean of the training images."""

    def fit(self, rows: Rows, normal: Normal | None = None) -> Self:
        """Take the mean of unit rows ``[n, F]``."""
        mean = rows.mean(axis=0, dtype=np.float64)
        self._direction = mean / max(np.linalg.norm(mean), np.finfo(np.float64).tiny)
        return self

    def decision_function(self, rows: Rows) -> Scores:
        """Return the cosine of unit rows ``[m, F]`` to the mean."""
        return rows @ self._direction


class NearestNeighbours:
    """The mean cosine to the nearest training images, as in Sun et al. (2022)."""

    def fit(self, rows: Rows, normal: Normal | None = None) -> Self:
        """Keep the rows ``[n, F]``."""
        self._index = NearestNeighbors(n_neighbors=min(NEIGHBOURS, len(rows)), metric="cosine").fit(rows)
        return self

    def decision_function(self, rows: Rows) -> Scores:
        """Return the mean cosine of rows ``[m, F]`` to their nearest ones among those kept."""
        distances, _ = self._index.kneighbors(rows)
        return 1 - distances.mean(axis=1, dtype=np.float64)


def logistic_regression() -> Any:
    """Return a logistic regression on standardised rows, in which both labels weigh the same in all."""
    return make_pipeline(StandardScaler(), LogisticRegression(C=REGULARISATION, class_weight="balanced", max_iter=1000))
