"""A test image's score depends on the image and on the training images, not on other test images or their labels."""

from collections.abc import Callable

import numpy as np
import pytest

from hscl_fast.evaluation.baselines.baseline import Figures
from hscl_fast.evaluation.baselines.detector import Measure
from hscl_fast.evaluation.baselines.features import feature_baselines
from hscl_fast.evaluation.baselines.pixels import pixel_baselines
from hscl_fast.evaluation.baselines.registry import DETECTORS
from hscl_fast.evaluation.metrics import detection_metrics

N, M, WATCHED = 80, 30, 10
ROLES = np.repeat([1, 0, -1], [10, N - 20, 10]).astype(np.int8)
ABNORMAL = np.arange(M) % 2 == 1
Scores = dict[str, np.ndarray]


@pytest.fixture(scope="module")
def images() -> tuple[np.ndarray, np.ndarray]:
    """Grey training and test images; the first test images are watched."""
    grey = np.random.default_rng(0).integers(0, 256, (N + M, 8, 8, 1), np.uint8)
    both = np.repeat(grey, 3, axis=3)
    return both[:N], both[N:]


def features_of(images: np.ndarray) -> np.ndarray:
    """Features of images, each by itself, as an encoder computes them."""
    weights = np.random.default_rng(1).normal(size=(192, 24))
    return np.tanh((images.reshape(len(images), -1) / 127.5 - 1) @ weights).astype(np.float32)


def scores_of(training: np.ndarray, test: np.ndarray, abnormal: np.ndarray = ABNORMAL) -> Scores:
    """Return what every detector gives the test images, by way of the functions that a run calls."""
    found: list[np.ndarray] = []
    results = {
        **pixel_baselines(training, ROLES, test, recorder(found, abnormal)),
        **feature_baselines(features_of(training), ROLES, features_of(test), recorder(found, abnormal)),
    }
    return dict(zip(results, found, strict=True))


def recorder(found: list[np.ndarray], abnormal: np.ndarray) -> Measure:
    def measure(scores: np.ndarray) -> Figures:
        found.append(scores)
        figures = detection_metrics(scores, abnormal, abnormal.astype(np.int64), ["normal", "abnormal"], 0)
        return Figures(figures.auroc, figures.auroc_mean)

    return measure


@pytest.fixture(scope="module")
def plain(images: tuple[np.ndarray, np.ndarray]) -> Scores:
    """The scores of the watched images."""
    return {name: scores[:WATCHED] for name, scores in scores_of(*images).items()}


def others_are_white(training: np.ndarray, test: np.ndarray) -> Scores:
    changed = np.full_like(test, 255)
    changed[:WATCHED] = test[:WATCHED]
    return scores_of(training, changed)


def others_are_coloured(training: np.ndarray, test: np.ndarray) -> Scores:
    changed = np.random.default_rng(2).integers(0, 256, test.shape, np.uint8)
    changed[:WATCHED] = test[:WATCHED]
    return scores_of(training, changed)


def others_are_training_images(training: np.ndarray, test: np.ndarray) -> Scores:
    more = np.concatenate([test, training])
    return scores_of(training, more, np.arange(len(more)) % 2 == 1)


def others_are_left_out(training: np.ndarray, test: np.ndarray) -> Scores:
    return scores_of(training, test[:WATCHED], ABNORMAL[:WATCHED])


def labels_are_exchanged(training: np.ndarray, test: np.ndarray) -> Scores:
    return scores_of(training, test, ~ABNORMAL)


CHANGES = [
    others_are_white,
    others_are_coloured,
    others_are_training_images,
    others_are_left_out,
    labels_are_exchanged,
]


@pytest.fixture(scope="module", params=CHANGES, ids=lambda change: change.__name__)
def changed(request: pytest.FixtureRequest, images: tuple[np.ndarray, np.ndarray]) -> Scores:
    change: Callable[[np.ndarray, np.ndarray], Scores] = request.param
    return {name: scores[:WATCHED] for name, scores in change(*images).items()}


def require_same(one: np.ndarray, other: np.ndarray) -> None:
    """Up to rounding, because the order of a product's sums may depend on the number of rows."""
    np.testing.assert_allclose(other, one, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("name", DETECTORS)
def test_no_detector_learns_from_the_test(name: str, plain: Scores, changed: Scores) -> None:
    assert np.ptp(plain[name]) > 1e-3
    require_same(plain[name], changed[name])


def test_a_mean_over_test_images_would_be_noticed(images: tuple[np.ndarray, np.ndarray]) -> None:
    """The trap of the features: a mean over more than the training images lifts every detector."""
    training, test = images

    def centred(test: np.ndarray) -> list[np.ndarray]:
        rows = features_of(training), features_of(test)
        mean = np.concatenate(rows).mean(axis=0)
        found: list[np.ndarray] = []
        feature_baselines(rows[0] - mean, ROLES, rows[1] - mean, recorder(found, ABNORMAL[: len(test)]))
        return found

    for one, other in zip(centred(test), centred(test[:WATCHED]), strict=True):
        with pytest.raises(AssertionError):
            require_same(one[:WATCHED], other)
