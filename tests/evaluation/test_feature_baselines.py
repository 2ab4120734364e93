"""Textbook detectors on features, against their definitions."""

from typing import Any

import numpy as np
import pytest
from scipy.optimize import minimize
from sklearn.covariance import ledoit_wolf

from hscl_fast.evaluation.baselines.baseline import Baseline, Figures
from hscl_fast.evaluation.baselines.features import FEATURE_DETECTORS, feature_baselines
from hscl_fast.evaluation.metrics import detection_metrics
from hscl_fast.method.feature_estimators import REGULARISATION

N, M, F = 60, 40, 12
ROLES = np.repeat([1, 0, -1], [12, N - 20, 8]).astype(np.int8)


@pytest.fixture
def features(rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Features of training and test images, of any length; the last half of the test images are anomalies."""
    shift = np.zeros(F)
    shift[0] = 4
    training = rng.normal(size=(N, F)) + np.where(ROLES < 0, 1, 0)[:, None] * shift + 1
    test = rng.normal(size=(M, F)) + (np.arange(M) >= M // 2)[:, None] * shift + 1
    return training.astype(np.float32), test.astype(np.float32)


def measured(training: np.ndarray, roles: np.ndarray, test: np.ndarray, **options: Any) -> tuple[dict, dict]:
    """Return the results by detector, and the scores of the test images."""
    scores: list[np.ndarray] = []

    def measure(found: np.ndarray) -> Figures:
        scores.append(found)
        abnormal = np.arange(len(test)) >= len(test) // 2
        figures = detection_metrics(found, abnormal, abnormal.astype(np.int64), ["normal", "abnormal"], 0)
        return Figures(figures.auroc, figures.auroc_mean)

    results = feature_baselines(training, roles, test, measure, **options)
    return results, dict(zip((name for name, row in results.items() if row.auroc is not None), scores, strict=True))


def unit(rows: np.ndarray) -> np.ndarray:
    return rows / np.linalg.norm(rows, axis=1, keepdims=True)


def test_scores_are_those_of_the_textbook(features: tuple[np.ndarray, np.ndarray]) -> None:
    training, test = features
    results, scores = measured(training, ROLES, test)
    known, rows = unit(training[ROLES >= 0].astype(np.float64)), unit(test.astype(np.float64))
    mean = known.mean(axis=0)
    np.testing.assert_allclose(scores["features_mean"], rows @ mean / np.linalg.norm(mean), rtol=1e-5)
    nearest = np.sort(rows @ known.T, axis=1)[:, -5:].mean(axis=1)
    np.testing.assert_allclose(scores["features_knn"], nearest, rtol=1e-5)
    precision = np.linalg.inv(ledoit_wolf(known)[0])
    distances = [(row - mean) @ precision @ (row - mean) for row in rows]
    np.testing.assert_allclose(scores["features_mahalanobis"], -np.array(distances), rtol=1e-3)
    assert list(results) == list(FEATURE_DETECTORS)
    assert results["features_regression"].trained_on == "12 labelled normals and 8 labelled anomalies"
    assert results["features_knn"].note == "On 12 unit features."


def test_the_regression_is_balanced_and_regularised(features: tuple[np.ndarray, np.ndarray]) -> None:
    labelled, rows = unit(features[0][ROLES != 0].astype(np.float64)), unit(features[1].astype(np.float64))
    signs = ROLES[ROLES != 0].astype(np.float64)
    weights = np.where(signs > 0, 20 / (2 * 12), 20 / (2 * 8))
    mean, std = labelled.mean(axis=0), labelled.std(axis=0)

    def loss(solution: np.ndarray) -> float:
        margins = signs * ((labelled - mean) / std @ solution[1:] + solution[0])
        return solution[1:] @ solution[1:] / 2 + REGULARISATION * weights @ np.log1p(np.exp(-margins))

    best = minimize(loss, np.zeros(1 + F), tol=1e-10).x
    _, scores = measured(features[0], ROLES, features[1])
    expected = (rows - mean) / std @ best[1:] + best[0]
    np.testing.assert_allclose(scores["features_regression"], expected, atol=2e-3)


def test_the_length_of_an_image_s_features_does_not_matter(
    features: tuple[np.ndarray, np.ndarray], rng: np.random.Generator
) -> None:
    training, test = features
    lengths = rng.uniform(0.1, 10, (N + M, 1)).astype(np.float32)
    one, other = measured(training, ROLES, test)[1], measured(training * lengths[:N], ROLES, test * lengths[N:])[1]
    for name in FEATURE_DETECTORS:
        np.testing.assert_allclose(one[name], other[name], rtol=1e-3, atol=1e-4, err_msg=name)


def test_the_time_for_the_features_is_counted(features: tuple[np.ndarray, np.ndarray]) -> None:
    results, _ = measured(features[0], ROLES, features[1], seconds=1000.0)
    assert all(1000 < row.seconds < 1100 for row in results.values())
    assert results["features_knn"].note == "On 12 unit features, computed once in 1,000.0 s."


@pytest.mark.parametrize("normals", [0, 1, 2, 4])
def test_few_and_equal_training_images(normals: int, features: tuple[np.ndarray, np.ndarray]) -> None:
    training = np.ones((normals + 1, F), np.float32)
    roles = np.repeat([1, -1], [normals, 1]).astype(np.int8)
    results, scores = measured(training, roles, features[1])
    unlabelled = [row.auroc for name, row in results.items() if name != "features_regression"]
    assert [auroc is None for auroc in unlabelled] == [normals < 2] * 3
    assert (results["features_regression"].auroc is None) == (normals == 0)
    assert all(np.isfinite(found).all() for found in scores.values())


def test_without_test_images_nothing_is_run(features: tuple[np.ndarray, np.ndarray]) -> None:
    results, scores = measured(features[0], ROLES, features[1][:0])
    assert not scores
    assert set(results.values()) == {Baseline(None, None, None, row.trained_on, row.note) for row in results.values()}
    assert all(row.note == "Not run: there is no test image." for row in results.values())
