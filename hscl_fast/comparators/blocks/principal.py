"""The first principal components of rows: distances are nearly those of the pixels, at a fraction of the cost."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from sklearn.decomposition import PCA

from hscl_fast.comparators.comparator import State
from hscl_fast.comparators.pixels import Rows

COMPONENTS = 128

Points = NDArray[np.float64]


class PrincipalComponents:
    """A projection on the first 128 principal components, or fewer.

    Parameters
    ----------
    mean, components
        float64 ``[F]`` and ``[P, F]``.
    """

    def __init__(self, mean: Points, components: Points) -> None:
        self.mean, self.components = mean, components

    @classmethod
    def of(cls, rows: Rows, seed: int) -> PrincipalComponents:
        """Return those of rows ``[n, F]``."""
        found = PCA(min(COMPONENTS, *rows.shape), random_state=seed % 2**32).fit(rows.astype(np.float64))
        return cls(found.mean_, found.components_)

    def __call__(self, rows: Rows) -> Points:
        """Return rows ``[n, F]`` as points ``[n, P]``."""
        points: Points = (rows - self.mean) @ self.components.T
        return points

    def state(self) -> State:
        """Return both arrays."""
        return {"mean": torch.from_numpy(self.mean), "components": torch.from_numpy(self.components)}

    @classmethod
    def from_state(cls, state: State) -> PrincipalComponents:
        """Return the one that :meth:`state` is of."""
        return cls(state["mean"].cpu().numpy(), state["components"].cpu().numpy())


def default_gamma(points: Points) -> float:
    """Return one over the total variance of points, which is scikit-learn's ``scale`` for centred ones."""
    return float(1 / max(points.var(axis=0).sum(), np.finfo(np.float64).tiny))
