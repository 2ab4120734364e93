"""OC-SVM, kernel density and SSAD on pixels."""

import math
from dataclasses import replace

import numpy as np
import pytest
from comparators.comparing import NoProgress, auroc, digits, fitted, given, setting

from hscl_fast.comparators import ssad
from hscl_fast.comparators.blocks.principal import default_gamma
from hscl_fast.comparators.blocks.selection import best_fit
from hscl_fast.comparators.kde import KernelDensityComparator
from hscl_fast.comparators.ocsvm import OneClassSVMComparator
from hscl_fast.comparators.pixels import pixel_rows
from hscl_fast.comparators.registry import build_comparator
from hscl_fast.comparators.ssad import SSADComparator

METHODS = ("ocsvm", "kde", "ssad")


@pytest.mark.parametrize("name", METHODS)
def test_digits_are_told_apart_and_a_loaded_one_scores_the_same(name):
    fit = fitted(name, digits(), setting())
    assert auroc(fit, digits()) > 0.97
    other = build_comparator(name, setting())
    other.load({key: tensor.clone() for key, tensor in fit.state().items()})
    images = digits().test.images[:50]
    np.testing.assert_array_equal(other.score(images), fit.score(images))


@pytest.mark.parametrize("name", METHODS)
def test_a_state_that_lacks_something_is_refused(name):
    with pytest.raises(ValueError, match="has no mean"):
        build_comparator(name, setting()).load({})


def without_held_out(images, roles=None):
    roles = images.roles if roles is None else roles
    return replace(images, roles=roles, held_out=images.held_out[:0], held_out_roles=images.held_out_roles[:0])


@pytest.mark.parametrize("name", ["ocsvm", "kde"])
def test_methods_without_labels_never_see_labelled_anomalies(name):
    images = without_held_out(given(digits()))
    pixels = images.images.copy()
    pixels[images.roles < 0] = 255
    first, second = (build_comparator(name, setting()) for _ in range(2))
    first.fit(images, NoProgress())
    second.fit(replace(images, images=pixels), NoProgress())
    test = digits().test.images[:20]
    np.testing.assert_array_equal(first.score(test), second.score(test))


def test_the_weights_of_the_svm_have_the_sum_that_nu_gives():
    images = without_held_out(given(digits()))
    svm = OneClassSVMComparator(setting())
    svm.fit(images, NoProgress())
    weights = svm._boundary.coefficients
    assert weights.sum() == pytest.approx(0.1 * (images.roles >= 0).sum())
    assert (weights > 0).all()
    assert (weights <= 1).all()


def test_the_density_is_a_mean_of_gaussians():
    images = without_held_out(given(digits()))
    kde = KernelDensityComparator(setting())
    kde.fit(images, NoProgress())
    points = kde._project(pixel_rows(images.images[images.roles >= 0]))
    test = kde._project(pixel_rows(digits().test.images[:5]))
    width = kde._density.bandwidth
    gaussians = np.exp(-((test[:, None] - points) ** 2).sum(2) / (2 * width**2)).mean(1)
    expected = np.log(gaussians) - points.shape[1] / 2 * np.log(2 * math.pi * width**2)
    np.testing.assert_allclose(kde.score(digits().test.images[:5]), expected, rtol=1e-9)


def test_labels_raise_ssad_above_itself_without_them_and_above_the_svm():
    images = without_held_out(given(digits()))
    svm, with_labels, without = OneClassSVMComparator(setting()), SSADComparator(setting()), SSADComparator(setting())
    svm.fit(images, NoProgress())
    with_labels.fit(images, NoProgress())
    without.fit(without_held_out(images, np.zeros_like(images.roles)), NoProgress())
    assert auroc(with_labels, digits()) > auroc(svm, digits()) + 0.003
    assert auroc(with_labels, digits()) > auroc(without, digits()) + 0.003
    anomalies = images.images[images.roles < 0]
    assert with_labels.score(anomalies).max() < with_labels.score(images.images[images.roles > 0]).min()


def test_the_program_is_solved():
    features, signs = np.array([[1.0, 0.0], [0.0, 1.0], [0.6, 0.8]]), np.array([1.0, 1.0, -1.0])
    found = ssad._solve(features, signs, np.array([False, False, True]))
    # The anomaly has kappa = C = 1, so the others sum to 2 and have C = 1 each.
    np.testing.assert_allclose(found, features.T @ (signs * [1, 1, 1]), atol=1e-3)


def test_too_many_unlabelled_images_are_thinned_and_labelled_ones_kept(monkeypatch):
    monkeypatch.setattr(ssad, "MOST_UNLABELLED", 50)
    roles = given(digits()).roles
    taken = ssad._at_most(roles, seed=0)
    assert (roles[taken] == 0).sum() == 50
    assert (roles[taken] != 0).sum() == (roles != 0).sum()


def test_a_setting_is_selected_on_held_out_images_of_both_kinds_only():
    images = given(digits())
    both = replace(images, held_out=images.images[:10], held_out_roles=np.array([1, -1] * 5, np.int8))
    one_kind = replace(both, held_out_roles=np.ones(10, np.int8))
    few = replace(both, held_out=images.images[:8], held_out_roles=np.array([1, -1] * 4, np.int8))

    def select(given, good):
        return best_fit((1.0, 2.0, 3.0), 9.0, lambda x: x, lambda x: given.held_out_roles * (x in good), given)

    assert select(both, {2.0}) == 2
    assert select(both, {2.0, 9.0}) == 9  # the default where none is better
    assert select(one_kind, {2.0}) == 9
    assert select(few, {2.0}) == 9
    assert select(without_held_out(images), {2.0}) == 9


def test_the_default_width_is_scikit_learns():
    points = np.random.default_rng(0).normal(size=(100, 5))
    points -= points.mean(0)
    assert default_gamma(points) == pytest.approx(1 / (5 * points.var()), rel=1e-6)
    assert math.isfinite(default_gamma(np.zeros((3, 2))))


def test_large_images_are_averaged_down():
    image = np.zeros((1, 64, 64, 3), np.uint8)
    image[:, ::2] = 100
    assert pixel_rows(image).shape == (1, 32 * 32 * 3)
    assert np.unique(np.rint(pixel_rows(image) * 255)).tolist() == [50]
