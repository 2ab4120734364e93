"""kNN, mean and regression on the features of an encoder that comes with weights: here small random ones."""

from dataclasses import replace

import numpy as np
import pytest
import timm
import torch
from comparators.comparing import NoProgress, auroc, digits, fitted, given, setting
from safetensors.torch import save_file

from hscl_fast.comparators.registry import build_comparator
from hscl_fast.errors import UsageError

NAME, SIZE = "test_byobnet", 24  # timm's smallest convolutional network
METHODS = ("features_knn", "features_mean", "features_regression")


@pytest.fixture(scope="module")
def chosen(tmp_path_factory):
    torch.manual_seed(5)
    path = tmp_path_factory.mktemp("weights") / "weights.safetensors"
    save_file(timm.create_model(NAME).state_dict(), path)
    return setting(SIZE, model={"encoder": NAME, "weights": str(path), "width": 64})


def comparator(name, chosen):
    return build_comparator(name, chosen)


@pytest.mark.parametrize(("name", "floor"), [*zip(METHODS, (0.9, 0.7, 0.8), strict=True)])
def test_digits_are_told_apart_and_a_loaded_one_scores_the_same(name, floor, chosen):
    fit = fitted(name, digits(SIZE), chosen)
    assert auroc(fit, digits(SIZE), every=4) > floor
    moved = replace(chosen.config, model=replace(chosen.config.model, weights="moved.safetensors"))
    other = comparator(name, replace(chosen, config=moved))
    other.load({key: tensor.clone() for key, tensor in fit.state().items()})
    images = digits(SIZE).test.images[:20]
    np.testing.assert_array_equal(other.score(images), fit.score(images))
    assert np.linalg.norm(fit.embed(images), axis=1) == pytest.approx(1)
    with pytest.raises(ValueError, match="has no rows"):
        other.load({})


def test_each_is_what_its_name_says(chosen):
    images = given(digits(SIZE))
    knn, mean, regression = (comparator(name, chosen) for name in METHODS)
    for each in (knn, mean, regression):
        each.fit(images, NoProgress())
    known, new = knn.embed(images.images[images.roles >= 0]), knn.embed(images.held_out)
    cosines = new @ known.T
    np.testing.assert_allclose(knn.score(images.held_out), np.sort(cosines)[:, -5:].mean(1), atol=1e-5)
    direction = known.mean(0) / np.linalg.norm(known.mean(0))
    np.testing.assert_allclose(mean.score(images.held_out), new @ direction, atol=1e-5)
    labelled = regression.score(images.images[images.roles != 0])
    assert labelled[images.roles[images.roles != 0] > 0].min() > labelled[images.roles[images.roles != 0] < 0].max()


def test_only_the_regression_sees_labelled_anomalies(chosen):
    images = given(digits(SIZE))
    pixels = images.images.copy()
    pixels[images.roles < 0] = 99
    for name in METHODS:
        first, second = comparator(name, chosen), comparator(name, chosen)
        first.fit(images, NoProgress())
        second.fit(replace(images, images=pixels), NoProgress())
        same = np.array_equal(first.score(images.held_out), second.score(images.held_out))
        assert same == (name != "features_regression")


def test_an_encoder_from_scratch_is_refused():
    with pytest.raises(UsageError, match=r"random weights\. Add --model\.pretrained true"):
        comparator("features_knn", setting())


def test_a_regression_without_anomalies_is_refused(chosen):
    images = given(digits(SIZE))
    with pytest.raises(UsageError, match="no labelled anomalies"):
        comparator("features_regression", chosen).fit(replace(images, roles=abs(images.roles)), NoProgress())
