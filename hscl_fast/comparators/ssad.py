"""SSAD (Goernitz et al. 2013) on pixels: a one-class boundary that labelled images push and pull."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import osqp
import torch
from numpy.typing import NDArray
from scipy import sparse
from sklearn.kernel_approximation import Nystroem
from sklearn.metrics.pairwise import rbf_kernel

from hscl_fast.comparators.blocks.loading import require
from hscl_fast.comparators.blocks.principal import Points, PrincipalComponents, default_gamma
from hscl_fast.comparators.blocks.selection import GAMMAS, best_fit
from hscl_fast.comparators.comparator import Comparator, Progress, Scores, State, VisibleImages
from hscl_fast.comparators.pixels import pixel_rows
from hscl_fast.data.types import ABNORMAL, UNLABELLED, Roles
from hscl_fast.errors import UsageError
from hscl_fast.method.image_batches import ImageSequence

LANDMARKS = 256
MOST_UNLABELLED = 2000  # images; each of the eleven programs takes seconds with so many
KAPPA = 1.0  # least total weight of the labelled images
LARGEST_WEIGHT = 1.0  # C, of one image


Indices = NDArray[np.intp]


@dataclass(frozen=True)
class _Boundary:
    """``f(x) = features(x) . weights``, with Nystroem's features of the RBF kernel."""

    gamma: float
    landmarks: Points
    normalization: Points
    weights: Points

    def __call__(self, points: Points) -> Scores:
        kernel = rbf_kernel(points, self.landmarks, gamma=self.gamma)
        scores: Scores = kernel @ (self.normalization.T @ self.weights)
        return scores


class SSADComparator(Comparator):
    """The dual of SSAD with an RBF kernel in the first 128 principal components of pixels.

    With y = -1 for labelled anomalies and +1 for all others, it maximises

        -1/2 sum_ij a_i a_j y_i y_j k(x_i, x_j)   with  0 <= a_i <= C,  sum_i y_i a_i = 1,
                                                        sum of the labelled a_i >= kappa,

    with C = kappa = 1, and scores ``f(x) = sum_i a_i y_i k(x_i, x)``. The kernel is approximated by 256 Nystroem
    features, which makes it a sparse quadratic program for OSQP. The unlabelled images are at most 2,000, drawn at
    random. The width is one of ten, by the AUROC on held-out labelled images; with fewer than five of
    either kind it is one over the total variance. It has one mode, without a network.
    """

    def fit(self, given: VisibleImages, progress: Progress) -> None:
        """Solve the program for each width."""
        seed = self.setting.config.runtime.seed
        taken = _at_most(given.roles, seed)
        rows, roles = pixel_rows(given.images[taken]), given.roles[taken]
        self._project = PrincipalComponents.of(rows, seed)
        points = self._project(rows)
        held_out = self._project(pixel_rows(given.held_out)) if len(given.held_out) else points[:0]
        self._boundary = best_fit(
            GAMMAS,
            default_gamma(points),
            lambda gamma: _fit(points, roles, gamma, seed),
            lambda found: found(held_out),
            given,
        )

    def score(self, images: ImageSequence) -> Scores:
        """Return f."""
        return self._boundary(self._project(pixel_rows(images)))

    def state(self) -> State:
        """Return the projection and the boundary."""
        arrays = {name: getattr(self._boundary, name) for name in ("landmarks", "normalization", "weights")}
        return {
            **self._project.state(),
            **{name: torch.from_numpy(array) for name, array in arrays.items()},
            "gamma": torch.tensor(self._boundary.gamma, dtype=torch.float64),
        }

    def load(self, state: State) -> None:
        """Take them."""
        require(state, ("mean", "components", "landmarks", "normalization", "weights", "gamma"))
        self._project = PrincipalComponents.from_state(state)
        arrays = (state[name].cpu().numpy() for name in ("landmarks", "normalization", "weights"))
        self._boundary = _Boundary(state["gamma"].item(), *arrays)


def _at_most(roles: Roles, seed: int) -> Indices:
    """Return the images to learn from, in order: all labelled ones, and at most 2,000 unlabelled ones."""
    unlabelled = np.flatnonzero(roles == UNLABELLED)
    if len(unlabelled) > MOST_UNLABELLED:
        unlabelled = np.random.default_rng(seed).choice(unlabelled, MOST_UNLABELLED, replace=False)
    return np.sort(np.concatenate((np.flatnonzero(roles != UNLABELLED), unlabelled)))


def _fit(points: Points, roles: Roles, gamma: float, seed: int) -> _Boundary:
    features = Nystroem(gamma=gamma, n_components=min(LANDMARKS, len(points)), random_state=seed % 2**32)
    signs = np.where(roles == ABNORMAL, -1.0, 1.0)
    weights = _solve(features.fit_transform(points), signs, roles != UNLABELLED)
    return _Boundary(gamma, features.components_.copy(), features.normalization_.copy(), weights)


def _solve(features: Points, signs: Points, labelled: NDArray[np.bool_]) -> Points:
    """Return ``w = F' (y * a)`` for the weights a that minimise ``|w|^2 / 2``.

    The variables are a and w, so that the program is sparse but for the features ``F [n, m]`` themselves. Both are
    taken n times as large, so that weights are around 1, for which OSQP's steps and tolerances are made.
    """
    count, width = features.shape
    definition = sparse.hstack([sparse.csc_matrix((features * signs[:, None]).T), -sparse.eye(width)])
    sums = sparse.csc_matrix(np.stack((signs, labelled.astype(np.float64))))
    padded = sparse.hstack([sums, sparse.csc_matrix((2, width))])
    box = sparse.hstack([sparse.eye(count), sparse.csc_matrix((count, width))])
    kappa = KAPPA if labelled.any() else 0.0
    lowest = np.concatenate((np.zeros(width), [count, kappa * count], np.zeros(count)))
    highest = np.concatenate((np.zeros(width), [count, np.inf], np.full(count, LARGEST_WEIGHT * count)))
    program = osqp.OSQP()
    program.setup(
        sparse.block_diag([sparse.csc_matrix((count, count)), sparse.eye(width)], format="csc"),
        np.zeros(count + width),
        sparse.vstack([definition, padded, box], format="csc"),
        lowest,
        highest,
        eps_abs=1e-4,
        eps_rel=1e-4,
        max_iter=20_000,
        adaptive_rho_interval=50,  # steps; by time, two fits of the same data would differ
        verbose=False,
    )
    found = program.solve(raise_error=False)
    if found.info.status_val not in (1, 2):  # solved, or solved less precisely
        raise UsageError(
            f"SSAD's quadratic program on {count:,} images has no solution ({found.info.status}). It needs at least "
            "two images that are not labelled anomalies: add some, or lower --data.labelled_ratio."
        )
    weights: Points = found.x[count:] / count
    return weights
