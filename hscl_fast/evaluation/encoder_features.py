"""The features of a split's images by a pretrained encoder as it was before training."""

from __future__ import annotations

import time
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from rich.console import Console
from torch import Tensor

from hscl_fast.data.split.split import Split
from hscl_fast.data.types import ABNORMAL, AnyImages, take
from hscl_fast.evaluation.baselines.detector import Roles, Rows
from hscl_fast.method.encode import encode_images
from hscl_fast.method.network import Network
from hscl_fast.method.scoring.scoring import Scoring
from hscl_fast.progress import image_progress

_NOT_FINITE = "Left out: the encoder's features of some image are not finite (see --runtime.precision)."


@dataclass(frozen=True, eq=False)
class Taped:
    """Features float32 ``[n, F]`` in the order in which they were computed, and the seconds that it took."""

    features: Rows
    seconds: float

    @classmethod
    def of_training(cls, features: Rows, roles: Roles, seconds: float) -> Taped:
        """Return features in the order of the split as a calibration computes them, with the anomalies last."""
        return cls(features[_anomalies_last(roles)], seconds)


@dataclass(frozen=True, eq=False)
class SplitFeatures:
    """Features of the un-augmented images, in the order of the split.

    Attributes
    ----------
    training, test
        float32 ``[n, F]`` and ``[m, F]``, finite.
    seconds
        Time to compute them.
    """

    training: Rows
    test: Rows
    seconds: float


class FeatureTape:
    """Keeps the features that a score computes on its way, so that no image goes through the encoder again for them."""

    def __init__(self) -> None:
        self._parts: list[Rows] = []
        self._started = time.perf_counter()

    def __call__(self, features: Tensor) -> None:
        """Keep the features ``[B, F]`` of a batch."""
        self._parts.append(features.cpu().numpy())

    def cut(self) -> Taped | None:
        """Return the features since the last cut; None if there are none, as where a score has nothing to learn."""
        parts, self._parts = self._parts, []
        started, self._started = self._started, time.perf_counter()
        return Taped(np.concatenate(parts), self._started - started) if parts else None


def complete_features(
    split: Split,
    initial: Network,
    scoring: Scoring,
    console: Console,
    *,
    training: Taped | None,
    test: Taped | None,
) -> SplitFeatures | str:
    """Return the features of a split's training and test images.

    Parameters
    ----------
    split
        The images.
    initial
        The network whose encoder is used, in evaluation mode on its device.
    scoring
        Its device and precision are used.
    console
        Console for progress.
    training
        What is there already of the training images, those of the labelled anomalies last.
    test
        What is there already of the test images.

    Returns
    -------
    SplitFeatures or str
        A sentence that says why there are none.
    """
    images, roles = split.training.images, split.training.roles
    if training is None or len(training.features) != len(roles):
        training = _encode(take(images, _anomalies_last(roles)), initial, scoring, console)
    if test is None:
        test = _encode(split.test.images, initial, scoring, console)
    if not (np.isfinite(training.features).all() and np.isfinite(test.features).all()):
        return _NOT_FINITE
    return SplitFeatures(_in_order(training.features, roles), test.features, training.seconds + test.seconds)


def _encode(images: AnyImages, initial: Network, scoring: Scoring, console: Console) -> Taped:
    started = time.perf_counter()
    with image_progress(console, "encoding", len(images)) as advance:
        found = encode_images(initial, images, scoring.augment, scoring.execution, views=1, seed=0, advance=advance)
    return Taped(found.flatten(1).numpy(), time.perf_counter() - started)


def _in_order(anomalies_last: Rows, roles: Roles) -> Rows:
    features = np.empty_like(anomalies_last)
    features[_anomalies_last(roles)] = anomalies_last
    return features


def _anomalies_last(roles: Roles) -> NDArray[np.intp]:
    return np.argsort(roles == ABNORMAL, kind="stable")
