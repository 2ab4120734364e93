"""An isolation forest on the pixels, which knows nothing of what the network has learned."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from hscl_fast.method.scoring.score import Score, Shape, Training
from hscl_fast.method.scoring.views import Outputs

TREES = 100
SIDE = 16  # pixels; larger images are averaged down
_SAMPLE = 256  # images per tree, which thus has at most 511 nodes and paths of 8 edges, as in Liu et al.
_NODES, _EDGES = 2 * _SAMPLE - 1, 8
_SEED = 0


def shrunk_pixels(images: Tensor) -> Tensor:
    """Return images ``[B, 3, S, S]`` with values from 0 to 255 as float32 rows ``[B, 3 s s]`` in [0, 1], s <= 16."""
    side = min(SIDE, images.shape[-1])
    return functional.adaptive_avg_pool2d(images.float() / 255, side).flatten(1)


class PixelScore(Score):
    """The mean length of an image's paths in an isolation forest (Liu et al. 2008), in edges.

    Anomalies of kinds that no label shows may look normal to a network that was trained on a few known kinds. A score
    that has seen no label and no network errs in other places, so a sum with it is seldom far off.

    The forest is grown by scikit-learn and kept as tables ``[trees, nodes]``: ``feature`` and ``threshold`` of every
    split, its children ``left`` and ``right``, and ``length``, the path that ends in a leaf, with the expected length
    below it. A leaf is its own child.
    """

    sees_pixels = True

    def evidence(self, outputs: Outputs) -> Tensor:
        """Return the pixels ``[B, 3 s s]``."""
        assert outputs.pixels is not None
        return outputs.pixels

    def constant_shapes(self) -> dict[str, Shape]:
        """Return those of the tables."""
        return dict.fromkeys(("feature", "threshold", "left", "right", "length"), (TREES, _NODES))

    def learn(self, training: Training) -> dict[str, Tensor]:
        """Grow the trees on all images that are not labelled anomalies."""
        from sklearn.ensemble import IsolationForest  # imported here, so that scoring new images need not

        forest = IsolationForest(n_estimators=TREES, max_samples=min(_SAMPLE, len(training.known)), random_state=_SEED)
        forest.fit(training.known.float().cpu().numpy())
        trees = [_tables(estimator.tree_) for estimator in forest.estimators_]
        return {
            name: torch.from_numpy(np.stack([tree[name] for tree in trees])).to(training.known)
            for name in self.constant_shapes()
        }

    def score(self, evidence: Tensor) -> Tensor:
        """Return the mean length."""
        feature, left, right = (self.constants[name].long() for name in ("feature", "left", "right"))
        threshold, length = self.constants["threshold"], self.constants["length"]
        tree = torch.arange(TREES, device=evidence.device)
        node = torch.zeros(evidence.shape[0], TREES, dtype=torch.int64, device=evidence.device)
        for _ in range(_EDGES):
            goes_left = evidence.gather(1, feature[tree, node]) <= threshold[tree, node]
            node = torch.where(goes_left, left[tree, node], right[tree, node])
        return length[tree, node].mean(dim=1)


def _tables(tree: Any) -> dict[str, NDArray[np.float32]]:
    """Return the tables of one of scikit-learn's trees."""
    count = tree.node_count
    own = np.arange(_NODES)
    tables = {name: np.zeros(_NODES, np.float32) for name in ("feature", "threshold", "length")}
    left, right = own.astype(np.float32), own.astype(np.float32)
    splits = np.flatnonzero(tree.children_left >= 0)
    tables["feature"][splits] = tree.feature[splits]
    tables["threshold"][splits] = tree.threshold[splits]
    left[splits], right[splits] = tree.children_left[splits], tree.children_right[splits]
    depth = np.zeros(count)
    for node in splits:  # a parent comes before its children
        depth[[tree.children_left[node], tree.children_right[node]]] = depth[node] + 1
    tables["length"][:count] = depth + _expected_length(tree.n_node_samples)
    return {**tables, "left": left, "right": right}


def _expected_length(samples: NDArray[np.int64]) -> NDArray[np.float64]:
    """Return c(n), the mean path length of an unsuccessful search among n, with which a cut path goes on."""
    n = samples.astype(np.float64)
    several = np.maximum(n, 3)
    found = 2 * (np.log(several - 1) + np.euler_gamma) - 2 * (several - 1) / several
    return np.where(n > 2, found, np.where(n == 2, 1.0, 0.0))
