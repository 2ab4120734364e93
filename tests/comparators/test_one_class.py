"""Deep SVDD, Deep SAD and LOE: one training, three losses."""

import functools
from dataclasses import replace

import numpy as np
import pytest
import torch
from comparators.comparing import NoProgress, auroc, digits, fitted, given, setting
from comparators.interrupting import GoOn, StopAt

from hscl_fast.comparators.blocks.contrastive_body import ContrastiveBody
from hscl_fast.comparators.blocks.lenet_body import LeNetBody
from hscl_fast.comparators.registry import build_comparator
from hscl_fast.interrupt import Interrupted

METHODS = ("deep_svdd", "deep_sad", "loe")
POLLUTION = 0.3


def chosen(steps, contamination=POLLUTION):
    return setting(mode="original", total_steps=steps, evaluate={"contamination": contamination})


@functools.cache
def trained(name, contamination=POLLUTION):
    return fitted(name, digits(pollution_ratio=POLLUTION), chosen(100, contamination))


def farther(comparator):
    """How many times farther from the centre the labelled anomalies are than the other training images, squared."""
    images = given(digits(pollution_ratio=POLLUTION))
    distances = -comparator.score(images.images)
    return distances[images.roles < 0].mean() / distances[images.roles >= 0].mean()


@pytest.mark.parametrize("name", METHODS)
def test_digits_are_told_apart(name):
    assert auroc(trained(name), digits(), every=3) > 0.95


def test_deep_sad_pushes_labelled_anomalies_away():
    assert farther(trained("deep_sad")) > 1.2 * farther(trained("deep_svdd"))


def test_loe_loses_less_to_hidden_anomalies_than_a_training_that_expects_none():
    split = digits(pollution_ratio=POLLUTION)
    assert auroc(trained("loe"), split, every=2) > auroc(trained("loe", 0.0), split, every=2) + 0.004


def test_deep_svdd_never_sees_labelled_anomalies():
    images = given(digits())
    pixels = images.images.copy()
    pixels[images.roles < 0] = 99
    first, second = (build_comparator("deep_svdd", chosen(2)) for _ in range(2))
    first.fit(images, NoProgress())
    second.fit(replace(images, images=pixels), NoProgress())
    test = digits().test.images[:5]
    np.testing.assert_array_equal(first.score(test), second.score(test))


def test_losses():
    """Squared distances 4, 1, 9 and 0.25 of a labelled normal, an anomaly and two unlabelled images."""
    centre = torch.zeros(2)
    features = torch.tensor([[2.0, 0.0], [1.0, 0.0], [0.0, 3.0], [0.5, 0.0]])
    roles = torch.tensor([1, -1, 0, 0], dtype=torch.int8)

    def loss(name, epoch, contamination=0.5):
        return float(build_comparator(name, chosen(1, contamination)).loss(features, centre, roles, epoch))

    assert loss("deep_svdd", 9) == pytest.approx((4 + 1 + 9 + 0.25) / 4)
    assert loss("deep_sad", 9) == pytest.approx((4 + 1 + 9 + 0.25) / 4)  # 1 / 1 for the anomaly
    assert loss("loe", 1.9) == pytest.approx((4 + 1 + 9 + 0.25) / 4, rel=1e-5)
    # One of the two unlabelled images is suspected: the farther one.
    assert loss("loe", 2) == pytest.approx((4 + 1 + (9 + 1 / 9) / 2 + 0.25) / 4, rel=1e-5)
    assert loss("loe", 2, contamination=0.0) == loss("loe", 0)


def test_no_coordinate_of_the_centre_is_near_zero():
    body = LeNetBody(chosen(1), grey=True)
    features = torch.tensor([[0.04, -0.06, 0.5, 0.0], [0.0, -0.02, 0.7, 0.0]])
    torch.testing.assert_close(body.centre_of(features), torch.tensor([0.1, -0.1, 0.6, 0.1]))


def test_the_shared_centre_is_a_mean_direction():
    body = ContrastiveBody(setting())
    torch.testing.assert_close(body.centre_of(torch.tensor([[1.0, 0.0], [0.0, 1.0]])), torch.full((2,), 0.5**0.5))
    assert body.embed(digits().test.images[:4]).norm(dim=1) == pytest.approx(1, abs=1e-5)


def test_both_modes_have_the_length_of_hscl_in_views():
    images = torch.zeros(100, 8, 8, 3, dtype=torch.uint8)
    steps = setting(total_steps=10, optim={"batch_size": 16})  # of 32 views each
    shared, original = ContrastiveBody(steps).plan(images), LeNetBody(steps, grey=True).plan(images)
    assert (shared.pretraining.steps, shared.steps * shared.batch) == (5, 5 * 16)
    assert (original.pretraining.steps, original.steps, original.batch) == (1, 1, 100)
    long = LeNetBody(setting(total_steps=10**6), grey=True).plan(images)
    assert (long.pretraining.steps, long.steps) == (150, 150)  # the publication's epochs


@pytest.mark.parametrize("step", [2, 4, 6])  # in the autoencoder, at its last step, and after it
def test_the_original_goes_on_bit_for_bit(step):
    setting_of_eight = setting(mode="original", total_steps=8)
    stop = StopAt(step)
    with pytest.raises(Interrupted):
        fitted_by(setting_of_eight, stop)
    images = digits().test.images[:9]
    resumed, whole = fitted_by(setting_of_eight, GoOn(stop.kept)), fitted_by(setting_of_eight, NoProgress())
    np.testing.assert_array_equal(resumed.score(images), whole.score(images))


def fitted_by(chosen, progress):
    comparator = build_comparator("deep_sad", chosen)
    comparator.fit(given(digits()), progress)
    return comparator
