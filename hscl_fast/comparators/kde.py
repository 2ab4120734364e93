"""The kernel density estimate of Parzen (1962) on pixels, with a Gaussian kernel and no labels."""

from __future__ import annotations

import numpy as np
import torch
from sklearn.model_selection import GridSearchCV, KFold
from sklearn.neighbors import KernelDensity

from hscl_fast.comparators.blocks.loading import require
from hscl_fast.comparators.blocks.principal import Points, PrincipalComponents
from hscl_fast.comparators.comparator import Comparator, Progress, Scores, State, VisibleImages
from hscl_fast.comparators.pixels import pixel_rows
from hscl_fast.data.types import ABNORMAL
from hscl_fast.method.image_batches import ImageSequence

BANDWIDTHS = tuple(2.0 ** (power / 2) for power in range(1, 11))  # 2^0.5 to 2^5
FOLDS = 5


class KernelDensityComparator(Comparator):
    """The density of all images that are not labelled anomalies, in the first 128 principal components of pixels.

    The bandwidth is that of the highest likelihood of left-out images, in five folds. It has one mode, without a
    network.
    """

    def fit(self, given: VisibleImages, progress: Progress) -> None:
        """Choose the bandwidth, and keep the images."""
        rows = pixel_rows(given.images[given.roles != ABNORMAL])
        seed = self.setting.config.runtime.seed
        self._project = PrincipalComponents.of(rows, seed)
        points = self._project(rows)
        folds = KFold(min(FOLDS, len(points)), shuffle=True, random_state=seed % 2**32)
        search = GridSearchCV(KernelDensity(kernel="gaussian"), {"bandwidth": BANDWIDTHS}, cv=folds, refit=False)
        self._keep(points, search.fit(points).best_params_["bandwidth"])

    def score(self, images: ImageSequence) -> Scores:
        """Return the logarithm of the density."""
        scores: Scores = self._density.score_samples(self._project(pixel_rows(images)))
        return scores

    def state(self) -> State:
        """Return the projection, the projected images and the bandwidth."""
        return {
            **self._project.state(),
            "points": torch.from_numpy(self._points),
            "bandwidth": torch.tensor(self._density.bandwidth, dtype=torch.float64),
        }

    def load(self, state: State) -> None:
        """Take them."""
        require(state, ("mean", "components", "points", "bandwidth"))
        self._project = PrincipalComponents.from_state(state)
        self._keep(state["points"].cpu().numpy(), state["bandwidth"].item())

    def _keep(self, points: Points, bandwidth: float) -> None:
        self._points = np.ascontiguousarray(points)
        self._density = KernelDensity(kernel="gaussian", bandwidth=bandwidth).fit(self._points)
