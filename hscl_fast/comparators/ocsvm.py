"""The one-class SVM of Schoelkopf et al. (2001) on pixels: RBF kernel, nu = 0.1, no labels in training."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from sklearn.metrics.pairwise import rbf_kernel
from sklearn.svm import OneClassSVM

from hscl_fast.comparators.blocks.loading import require
from hscl_fast.comparators.blocks.principal import Points, PrincipalComponents, default_gamma
from hscl_fast.comparators.blocks.selection import GAMMAS, best_fit
from hscl_fast.comparators.comparator import Comparator, Progress, Scores, State, VisibleImages
from hscl_fast.comparators.pixels import pixel_rows
from hscl_fast.data.types import ABNORMAL
from hscl_fast.method.image_batches import ImageSequence

NU = 0.1


@dataclass(frozen=True)
class _Boundary:
    """``f(x) = sum_i coefficients_i exp(-gamma |x - support_i|^2) + intercept``."""

    gamma: float
    support: Points
    coefficients: Points
    intercept: float

    def __call__(self, points: Points) -> Scores:
        scores: Scores = rbf_kernel(points, self.support, gamma=self.gamma) @ self.coefficients + self.intercept
        return scores


class OneClassSVMComparator(Comparator):
    """A boundary around all images that are not labelled anomalies, in the first 128 principal components of pixels.

    The width of the kernel is one of ten, by the AUROC on held-out labelled images; with fewer than five of either
    kind it is one over the total variance. It has one mode, without a network.
    """

    def fit(self, given: VisibleImages, progress: Progress) -> None:
        """Fit the boundary."""
        rows = pixel_rows(given.images[given.roles != ABNORMAL])
        self._project = PrincipalComponents.of(rows, self.setting.config.runtime.seed)
        points = self._project(rows)
        held_out = self._project(pixel_rows(given.held_out)) if len(given.held_out) else points[:0]
        self._boundary = best_fit(
            GAMMAS, default_gamma(points), lambda gamma: _fit(points, gamma), lambda found: found(held_out), given
        )

    def score(self, images: ImageSequence) -> Scores:
        """Return the signed distance from the boundary, positive inside."""
        return self._boundary(self._project(pixel_rows(images)))

    def state(self) -> State:
        """Return the projection and the boundary."""
        numbers = torch.tensor([self._boundary.gamma, self._boundary.intercept], dtype=torch.float64)
        return {
            **self._project.state(),
            "support": torch.from_numpy(self._boundary.support),
            "coefficients": torch.from_numpy(self._boundary.coefficients),
            "numbers": numbers,
        }

    def load(self, state: State) -> None:
        """Take them."""
        require(state, ("mean", "components", "support", "coefficients", "numbers"))
        self._project = PrincipalComponents.from_state(state)
        gamma, intercept = state["numbers"].tolist()
        support, coefficients = (state[name].cpu().numpy() for name in ("support", "coefficients"))
        self._boundary = _Boundary(gamma, support, coefficients, intercept)


def _fit(points: Points, gamma: float) -> _Boundary:
    fitted = OneClassSVM(kernel="rbf", nu=NU, gamma=gamma).fit(points)
    support, coefficients = np.ascontiguousarray(fitted.support_vectors_), fitted.dual_coef_[0].copy()
    return _Boundary(gamma, support, coefficients, float(fitted.intercept_[0]))
