"""scikit-learn's detectors on the pixels of the same split, to compare with."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from sklearn.decomposition import PCA
from sklearn.ensemble import IsolationForest
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import OneClassSVM

from hscl_fast.counted import counted
from hscl_fast.evaluation.metrics import Detection, detection_metrics

Images = npt.NDArray[np.uint8]
Pixels = npt.NDArray[np.float32]
TITLES = {
    "isolation_forest": "Isolation forest",
    "one_class_svm": "One-class SVM",
    "logistic_regression": "Logistic regression",
}


@dataclass(frozen=True)
class Baseline:
    """The result of one detector.

    Attributes
    ----------
    auroc, auroc_mean
        As in :class:`hscl_fast.evaluation.metrics.Detection`; None where it was not run.
    seconds
        Time to train and score.
    trained_on, note
        The training images, and remarks, in words.
    """

    auroc: float | None
    auroc_mean: float | None
    seconds: float | None
    trained_on: str
    note: str


MAX_SIDE = 32  # pixels; larger images are averaged down
MAX_SVM_IMAGES = 2000  # the one-class SVM's cost grows with the square of this
PCA_COMPONENTS = 64  # terms of each kernel distance, instead of one per pixel
CHUNK = 256  # images averaged down at a time, to bound the float copies


def _averaging(size: int) -> Pixels:
    """Return the [side, size] matrix that averages ``size`` pixels down to at most ``MAX_SIDE``."""
    side = min(size, MAX_SIDE)
    start = np.arange(side) * size // side
    stop = -(-(np.arange(side) + 1) * size // side)
    pixel = np.arange(size)
    inside = (pixel >= start[:, None]) & (pixel < stop[:, None])
    return (inside / inside.sum(1, keepdims=True)).astype(np.float32)


def _pixels(images: Images, grey: bool) -> Pixels:
    """Flatten images [n, H, W, 3] to pixels [n, h w c] in [0, 1], with h and w at most ``MAX_SIDE``."""
    channels = images[..., :1] if grey else images
    n, height, width, depth = channels.shape
    rows, columns = _averaging(height), _averaging(width)
    pixels = np.empty((n, len(rows), len(columns), depth), np.float32)
    for start in range(0, n, CHUNK):
        chunk = channels[start : start + CHUNK].astype(np.float32) / 255
        pixels[start : start + CHUNK] = np.einsum("ih,jw,nhwc->nijc", rows, columns, chunk, optimize=True)
    return pixels.reshape(n, len(rows) * len(columns) * depth)


def _is_grey(images: Images) -> bool:
    return bool((images[..., :1] == images[..., 1:]).all())


def _describe(images: Images, grey: bool) -> str:
    height, width = images.shape[1:3]
    kind = "grey" if grey else "colour"
    if max(height, width) <= MAX_SIDE:
        return f"{height}x{width} {kind} pixels"
    return f"{kind} pixels averaged down from {height}x{width} to {min(height, MAX_SIDE)}x{min(width, MAX_SIDE)}"


def _isolation_forest(train: Pixels, test: Pixels, seed: int) -> npt.NDArray[np.float64]:
    return IsolationForest(random_state=seed).fit(train).score_samples(test)


def _one_class_svm(train: Pixels, test: Pixels, components: int, seed: int) -> npt.NDArray[np.float64]:
    reduced = make_pipeline(StandardScaler(), PCA(components, random_state=seed), OneClassSVM(kernel="rbf"))
    return reduced.fit(train).score_samples(test)


def _logistic_regression(train: Pixels, normal: npt.NDArray[np.bool_], test: Pixels) -> npt.NDArray[np.float64]:
    regression = LogisticRegression(class_weight="balanced", max_iter=1000)
    return make_pipeline(StandardScaler(), regression).fit(train, normal).decision_function(test)


def _measure(
    score: Callable[[], npt.NDArray[np.float64]],
    evaluate: Callable[[npt.NDArray[np.float64]], Detection],
    trained_on: str,
    note: str,
) -> Baseline:
    start = time.perf_counter()
    scores = score()
    seconds = time.perf_counter() - start
    figures = evaluate(scores)
    return Baseline(figures.auroc, figures.auroc_mean, seconds, trained_on, note)


def _not_possible(trained_on: str, note: str) -> Baseline:
    return Baseline(None, None, None, trained_on, note)


def classic_baselines(
    train_images: Images,
    roles: npt.NDArray[np.int8],
    test_images: Images,
    abnormal: npt.NDArray[np.bool_],
    classes: npt.NDArray[np.int64],
    class_names: Sequence[str],
    normal_class: int,
    seed: int = 0,
) -> dict[str, Baseline]:
    """Train scikit-learn's detectors on the pixels of a split and score its test images.

    The isolation forest (Liu et al., 2008) and the one-class SVM (Schoelkopf et al., 2001) are
    trained on every training image that is not a labelled anomaly, pollution included; the logistic
    regression is trained on the labelled images only. All have scikit-learn's default settings, except for
    balanced class weights and more iterations in the regression.

    Parameters
    ----------
    train_images : uint8 [n, H, W, 3]
        Training images.
    roles : int8 [n]
        +1 labelled normal, 0 unlabelled, -1 labelled anomaly.
    test_images : uint8 [m, H, W, 3]
        Test images, of the same size.
    abnormal : bool [m]
        True for test anomalies.
    classes : int64 [m]
        True classes of the test images, as indices into ``class_names``.
    class_names
        One name per class.
    normal_class
        The normal class.
    seed
        Seed of the forest and of the SVM's choice of training images.

    Returns
    -------
    dict
        By detector: ``isolation_forest``, ``one_class_svm``, ``logistic_regression``. Figures are None where there is
        nothing to train on or to test.

    Raises
    ------
    UsageError
        Classes, names and flags of the test set contradict each other.
    """
    grey = _is_grey(train_images) and _is_grey(test_images)
    pixels, test = _pixels(train_images, grey), _pixels(test_images, grey)
    kind = _describe(train_images, grey)

    def evaluate(scores: npt.NDArray[np.float64]) -> Detection:
        return detection_metrics(scores, abnormal, classes, class_names, normal_class)

    return {
        **_unsupervised(pixels[roles >= 0], test, evaluate, kind, seed),
        "logistic_regression": _supervised(pixels, roles, test, evaluate, kind),
    }


def left_out(reason: str) -> dict[str, Baseline]:
    """Return the result of :func:`classic_baselines` if none is run, with the reason as every ``note``."""
    return {name: _not_possible("nothing", reason) for name in TITLES}


def _unsupervised(
    train: Pixels, test: Pixels, evaluate: Callable[[npt.NDArray[np.float64]], Detection], kind: str, seed: int
) -> dict[str, Baseline]:
    if len(train) < 2 or not len(test):
        missing = "fewer than two training images are not labelled anomalies" if len(test) else "there is no test image"
        entry = _not_possible(f"{len(train):,} non-anomalous training images", f"Not run: {missing}.")
        return {"isolation_forest": entry, "one_class_svm": entry}
    chosen = train
    if len(train) > MAX_SVM_IMAGES:
        chosen = train[np.random.default_rng(seed).choice(len(train), MAX_SVM_IMAGES, replace=False)]
    population = f"{len(train):,} non-anomalous training images (unlabelled and labelled normal)"
    sample = f"{len(chosen):,} random ones of the {population}" if len(chosen) < len(train) else population
    components = min(PCA_COMPONENTS, *chosen.shape)
    return {
        "isolation_forest": _measure(lambda: _isolation_forest(train, test, seed), evaluate, population, f"On {kind}."),
        "one_class_svm": _measure(
            lambda: _one_class_svm(chosen, test, components, seed),
            evaluate,
            sample,
            f"RBF kernel on the first {components} principal components of standardised {kind}.",
        ),
    }


def _supervised(
    pixels: Pixels,
    roles: npt.NDArray[np.int8],
    test: Pixels,
    evaluate: Callable[[npt.NDArray[np.float64]], Detection],
    kind: str,
) -> Baseline:
    labelled = roles != 0
    normals, anomalies = int((roles > 0).sum()), int((roles < 0).sum())
    trained_on = (
        f"{counted(normals, 'labelled normal')} and {counted(anomalies, 'labelled anomaly', 'labelled anomalies')}"
    )
    if not len(test):
        return _not_possible(trained_on, "Not run: there is no test image.")
    if not normals or not anomalies:
        return _not_possible(trained_on, "Not run: it needs labelled normals and labelled anomalies.")
    return _measure(
        lambda: _logistic_regression(pixels[labelled], roles[labelled] > 0, test),
        evaluate,
        trained_on,
        f"On standardised {kind}.",
    )
