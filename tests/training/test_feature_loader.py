"""Batches of cached features: the rows are a pure function of seed, step and image."""

import numpy as np
import torch

from hscl_fast.data.loaders.resident import ResidentLoader
from hscl_fast.data.types import TrainingImages
from hscl_fast.training.feature_loader import FeatureLoader

CPU = torch.device("cpu")
COUNT, VIEWS = 50, 5
TRAINING = TrainingImages(np.zeros((COUNT, 8, 8, 3), np.uint8), np.zeros(COUNT, np.int8))
# The feature of every view says which it is.
FEATURES = torch.arange(COUNT * VIEWS, dtype=torch.float32).view(COUNT, VIEWS, 1)


def batches(first, last, views=VIEWS, seed=3):
    loader = FeatureLoader(TRAINING, 16, seed=seed, device=CPU)
    loader.features = FEATURES[:, :views]
    return list(loader.batches(first, last))


def test_the_images_are_those_of_every_loader():
    theirs = ResidentLoader(TRAINING, 16, seed=3, device=CPU).batches(0, 7)
    for ours, other in zip(batches(0, 7), theirs, strict=True):
        assert torch.equal(ours.indices, other.indices)
        assert torch.equal(ours.roles, other.roles)
        assert torch.equal(ours.images[:16, 0] // VIEWS, ours.indices.float())
        assert torch.equal(ours.images[16:, 0] // VIEWS, ours.indices.float())


def test_two_different_views_are_drawn_anew_at_every_step():
    drawn = torch.stack([(batch.images[:, 0] % VIEWS).view(2, 16) for batch in batches(0, 90)])  # [steps, 2, B]
    assert (drawn[:, 0] != drawn[:, 1]).all()
    for views in drawn.unbind(1):
        shares = torch.bincount(views.long().flatten(), minlength=VIEWS) / views.numel()
        assert (shares - 1 / VIEWS).abs().max() < 0.05


def test_a_single_view_is_both():
    for batch in batches(0, 3, views=1):
        assert torch.equal(batch.images[:16], batch.images[16:])


def test_a_step_does_not_depend_on_those_before():
    for late, early in zip(batches(4, 8), batches(0, 8)[4:], strict=True):
        assert torch.equal(late.images, early.images)
    assert not torch.equal(batches(0, 1)[0].images, batches(0, 1, seed=4)[0].images)
