"""scikit-learn's detectors on the pixels of the same split."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from sklearn.decomposition import PCA
from sklearn.ensemble import IsolationForest
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import OneClassSVM

from hscl_fast.evaluation.baselines.baseline import Baseline
from hscl_fast.evaluation.baselines.detector import Detector, Estimator, Measure, Roles, Rows, measured

Images = npt.NDArray[np.uint8]

MAX_SIDE = 32  # pixels; larger images are averaged down
MAX_SVM_IMAGES = 2000  # the one-class SVM's cost grows with the square of this
PCA_COMPONENTS = 64  # terms of each kernel distance, instead of one per pixel
CHUNK = 256  # images averaged down at a time, to bound the float copies


def _one_class_svm(images: int, length: int, seed: int) -> Estimator:
    components = min(PCA_COMPONENTS, images, length)
    return make_pipeline(StandardScaler(), PCA(components, random_state=seed), OneClassSVM(kernel="rbf"))


def _logistic_regression(images: int, length: int, seed: int) -> Estimator:
    return make_pipeline(StandardScaler(), LogisticRegression(class_weight="balanced", max_iter=1000))


# The isolation forest is that of Liu et al. (2008), the one-class SVM that of Schoelkopf et al. (2001).
PIXEL_DETECTORS = {
    "isolation_forest": Detector(
        "Isolation forest", "pixels", lambda images, length, seed: IsolationForest(random_state=seed), "On {rows}."
    ),
    "one_class_svm": Detector(
        "One-class SVM",
        "pixels",
        _one_class_svm,
        f"RBF kernel on the first {PCA_COMPONENTS} principal components, or fewer, of standardised {{rows}}.",
        most_images=MAX_SVM_IMAGES,
    ),
    "logistic_regression": Detector(
        "Logistic regression", "pixels", _logistic_regression, "On standardised {rows}.", from_labels=True
    ),
}


def pixel_baselines(
    training: Images, roles: Roles, test: Images, measure: Measure, *, seed: int = 0
) -> dict[str, Baseline]:
    """Train scikit-learn's detectors on the pixels of a split and measure them on its test images.

    All have scikit-learn's default settings, except for balanced class weights and more iterations in the regression.

    Parameters
    ----------
    training : uint8 [n, H, W, 3]
        Training images.
    roles : int8 [n]
        +1 labelled normal, 0 unlabelled, -1 labelled anomaly.
    test : uint8 [m, H, W, 3]
        Test images, of the same size.
    measure
        Returns the figures of the test images' scores.
    seed
        Seed of the forest and of the SVM's choice of training images.

    Returns
    -------
    dict
        By the names of ``PIXEL_DETECTORS``. Figures are None where there is nothing to train on or to test.
    """
    grey = bool((training[..., :1] == training[..., 1:]).all())  # test images have no say in how images are seen
    rows = _describe(training, grey)
    return measured(PIXEL_DETECTORS, _pixels(training, grey), roles, _pixels(test, grey), measure, rows=rows, seed=seed)


def _averaging(size: int) -> Rows:
    """Return the [side, size] matrix that averages ``size`` pixels down to at most ``MAX_SIDE``."""
    side = min(size, MAX_SIDE)
    start = np.arange(side) * size // side
    stop = -(-(np.arange(side) + 1) * size // side)
    pixel = np.arange(size)
    inside = (pixel >= start[:, None]) & (pixel < stop[:, None])
    return (inside / inside.sum(1, keepdims=True)).astype(np.float32)


def _pixels(images: Images, grey: bool) -> Rows:
    """Flatten images [n, H, W, 3] to pixels [n, h w c] in [0, 1], with h and w at most ``MAX_SIDE``."""
    n, height, width, depth = images.shape
    rows, columns = _averaging(height), _averaging(width)
    channels = 1 if grey else depth
    pixels = np.empty((n, len(rows), len(columns), channels), np.float32)
    for start in range(0, n, CHUNK):
        chunk = images[start : start + CHUNK]
        if grey:  # the mean, because a test image may have colours all the same
            values = chunk.sum(3, dtype=np.float32, keepdims=True) / np.float32(255 * depth)
        else:
            values = chunk.astype(np.float32) / 255
        pixels[start : start + CHUNK] = np.einsum("ih,jw,nhwc->nijc", rows, columns, values, optimize=True)
    return pixels.reshape(n, len(rows) * len(columns) * channels)


def _describe(images: Images, grey: bool) -> str:
    height, width = images.shape[1:3]
    kind = "grey" if grey else "colour"
    if max(height, width) <= MAX_SIDE:
        return f"{height}x{width} {kind} pixels"
    return f"{kind} pixels averaged down from {height}x{width} to {min(height, MAX_SIDE)}x{min(width, MAX_SIDE)}"
