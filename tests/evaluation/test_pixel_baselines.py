"""scikit-learn's detectors on the pixels of a small split."""

import json
from dataclasses import asdict

import numpy as np
import pytest
from sklearn.datasets import load_digits

from hscl_fast.evaluation.baselines.baseline import Figures
from hscl_fast.evaluation.baselines.pixels import MAX_SVM_IMAGES, _averaging, _pixels, pixel_baselines
from hscl_fast.evaluation.metrics import detection_metrics

NAMES = [str(digit) for digit in range(10)]


@pytest.fixture(scope="module")
def split() -> dict[str, np.ndarray]:
    """Digit 0 against the rest: 100 training zeros with 10 hidden anomalies, and 10 labelled images of each side."""
    digits = load_digits()
    images = np.repeat((digits.images * 15.9).astype(np.uint8)[..., None], 3, axis=3)
    labels = digits.target.astype(np.int64)
    zeros, others, ones = (np.flatnonzero(mask) for mask in (labels == 0, labels > 1, labels == 1))
    train = np.concatenate([zeros[:100], others[:10], ones[:10]])
    test = np.setdiff1d(np.arange(600, len(labels)), train)
    return {
        "train_images": images[train],
        "roles": np.repeat([1, 0, -1], [10, 100, 10]).astype(np.int8),
        "test_images": images[test],
        "abnormal": labels[test] != 0,
        "classes": labels[test],
    }


def run(split: dict[str, np.ndarray], **changes: np.ndarray) -> dict[str, dict]:
    given = {**split, **changes}

    def measure(scores: np.ndarray) -> Figures:
        figures = detection_metrics(scores, given["abnormal"], given["classes"], NAMES, 0)
        return Figures(figures.auroc, figures.auroc_mean)

    return pixel_baselines(given["train_images"], given["roles"], given["test_images"], measure)


def test_detectors_find_the_anomalies_and_report_their_training_data(split: dict[str, np.ndarray]) -> None:
    results = run(split)
    assert list(results) == ["isolation_forest", "one_class_svm", "logistic_regression"]
    for result in results.values():
        assert result.auroc > 0.9
        assert result.auroc_mean > 0.9
        assert result.seconds > 0
        assert "8x8 grey" in result.note
    assert results["isolation_forest"].trained_on.startswith("110 training images, unlabelled or normal")
    assert results["logistic_regression"].trained_on == "10 labelled normals and 10 labelled anomalies"
    json.dumps({name: asdict(result) for name, result in results.items()}, allow_nan=False)


def test_a_seed_decides_everything(split: dict[str, np.ndarray]) -> None:
    one, other = run(split), run(split)
    assert [r.auroc for r in one.values()] == [r.auroc for r in other.values()]


def test_labelled_anomalies_do_not_reach_the_unsupervised_detectors(split: dict[str, np.ndarray]) -> None:
    changed = split["train_images"].copy()
    changed[split["roles"] < 0] = 255
    one, other = run(split), run(split, train_images=changed)
    for name in ("isolation_forest", "one_class_svm"):
        assert one[name].auroc == other[name].auroc


@pytest.mark.parametrize("role", [1, -1])
def test_without_both_labels_the_regression_is_not_run(split: dict[str, np.ndarray], role: int) -> None:
    roles = np.where(split["roles"] == role, 0, split["roles"]).astype(np.int8)
    result = run(split, roles=roles)["logistic_regression"]
    assert result.auroc is result.auroc_mean is result.seconds is None
    assert "labelled normals and labelled anomalies" in result.note


def test_without_normal_images_only_the_regression_could_run(split: dict[str, np.ndarray]) -> None:
    results = run(split, roles=np.full(120, -1, np.int8))
    assert all(result.auroc is None and "Not run" in result.note for result in results.values())


def test_without_test_images_nothing_is_run(split: dict[str, np.ndarray]) -> None:
    empty = {name: split[name][:0] for name in ("test_images", "abnormal", "classes")}
    assert all(result.seconds is None for result in run(split, **empty).values())


@pytest.mark.parametrize(("normals", "not_run"), [(1, 2), (2, 0)])
def test_tiny_training_sets(split: dict[str, np.ndarray], normals: int, not_run: int) -> None:
    chosen = [*range(normals), -1]
    results = run(split, train_images=split["train_images"][chosen], roles=split["roles"][chosen])
    assert sum(result.auroc is None for result in results.values()) == not_run
    assert results["logistic_regression"].auroc is not None


def test_the_svm_sees_a_sample_of_a_large_training_set(split: dict[str, np.ndarray]) -> None:
    many = np.resize(split["train_images"], (MAX_SVM_IMAGES + 1, 8, 8, 3))
    results = run(split, train_images=many, roles=np.zeros(len(many), np.int8))
    assert results["one_class_svm"].trained_on.startswith("2,000 random ones of 2,001 ")
    assert results["isolation_forest"].trained_on.startswith("2,001 ")


@pytest.mark.parametrize("size", [8, 32, 33, 50, 64, 100])
def test_averaging_down_keeps_flat_images_flat(size: int) -> None:
    matrix = _averaging(size)
    assert matrix.shape == (min(size, 32), size)
    np.testing.assert_allclose(matrix.sum(1), 1, rtol=1e-6)
    if size <= 32:
        np.testing.assert_array_equal(matrix, np.eye(size))


def test_large_images_are_averaged_in_blocks() -> None:
    images = np.random.default_rng(0).integers(0, 256, (300, 64, 96, 3), np.uint8)
    expected = images.reshape(300, 32, 2, 32, 3, 3).mean((2, 4)) / 255
    np.testing.assert_allclose(_pixels(images, grey=False), expected.reshape(300, -1), atol=1e-5)
    assert _pixels(images, grey=True).shape == (300, 32 * 32)


def test_a_coloured_test_image_among_grey_ones_is_seen_by_its_mean() -> None:
    images = np.random.default_rng(0).integers(0, 256, (3, 8, 8, 3), np.uint8)
    np.testing.assert_allclose(_pixels(images, grey=True), images.mean(3).reshape(3, -1) / 255, rtol=1e-6)


def test_colour_and_reduction_are_stated(split: dict[str, np.ndarray]) -> None:
    rng = np.random.default_rng(0)
    train, test = (rng.integers(0, 256, (n, 40, 48, 3), np.uint8) for n in (120, 12))
    picked = {"abnormal": split["abnormal"][:12], "classes": split["classes"][:12]}
    note = run(split, train_images=train, test_images=test, **picked)["isolation_forest"].note
    assert note == "On colour pixels averaged down from 40x48 to 32x32."
