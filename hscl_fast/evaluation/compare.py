"""Compares a run with simple detectors, on pixels and on the features of its pretrained encoder."""

from __future__ import annotations

import numpy as np

from hscl_fast.data.split.split import Split
from hscl_fast.evaluation.baselines.baseline import Baseline, Figures
from hscl_fast.evaluation.baselines.detector import Scores
from hscl_fast.evaluation.baselines.features import FEATURE_DETECTORS, feature_baselines
from hscl_fast.evaluation.baselines.pixels import PIXEL_DETECTORS, pixel_baselines
from hscl_fast.evaluation.baselines.registry import left_out
from hscl_fast.evaluation.encoder_features import SplitFeatures
from hscl_fast.evaluation.metrics import detection_metrics, paired_deviation

_LEAST = 2  # test images of either kind, without which there is no variance
_NOT_IN_MEMORY = (
    "Left out: they need all images in memory, but this run does not hold them there (see --runtime.loader "
    "and --runtime.resident_gib)."
)


def is_comparable(split: Split) -> bool:
    """Return whether the test images have both normals and anomalies."""
    return bool(split.test.abnormal.any() and not split.test.abnormal.all())


def compare(split: Split, features: SplitFeatures | str | None, ours: Scores, *, seed: int) -> dict[str, Baseline]:
    """Train the detectors on a split's training images and measure them on its test images.

    Parameters
    ----------
    split
        The images and their roles; both kinds of test images must be there.
    features
        By the run's pretrained encoder as it was before training; why there are none, as a sentence; or None for an
        encoder from scratch.
    ours : float64 [m]
        The run's normality scores of the test images.
    seed
        Seed of the detectors.

    Returns
    -------
    dict
        By the names of :mod:`hscl_fast.evaluation.baselines.registry`; those on features only if the encoder was
        pretrained.
    """
    test, training, roles = split.test, split.training.images, split.training.roles

    def measure(scores: Scores) -> Figures:
        found = detection_metrics(scores, test.abnormal, test.classes, split.class_names, split.normal_class)
        enough = min(test.abnormal.sum(), (~test.abnormal).sum()) >= _LEAST
        deviation = paired_deviation(ours, scores, test.abnormal) if enough else None
        return Figures(found.auroc, found.auroc_mean, deviation)

    if isinstance(training, np.ndarray) and isinstance(test.images, np.ndarray):
        found = pixel_baselines(training, roles, test.images, measure, seed=seed % 2**32)
    else:
        found = left_out(PIXEL_DETECTORS, _NOT_IN_MEMORY)
    if isinstance(features, str):
        return found | left_out(FEATURE_DETECTORS, features)
    if features is None:
        return found
    return found | feature_baselines(features.training, roles, features.test, measure, seconds=features.seconds)
