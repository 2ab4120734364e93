"""The order of the images: one permutation per epoch, the same wherever a run starts."""

import numpy as np
import torch
from hypothesis import given
from hypothesis import strategies as st

from hscl_fast.data.loaders.resident import ResidentLoader
from hscl_fast.data.types import TrainingImages

CPU = torch.device("cpu")


def loader(count, batch_size, seed=0):
    images = np.arange(count, dtype=np.uint8)[:, None, None, None] * np.ones((1, 8, 8, 3), np.uint8)
    roles = (np.arange(count) % 3 - 1).astype(np.int8)
    return ResidentLoader(TrainingImages(images, roles), batch_size, seed=seed, device=CPU)


@given(count=st.integers(2, 60), batch_size=st.integers(2, 80), seed=st.integers(0, 2**63 - 1))
def test_an_epoch_visits_every_image_at_most_once(count, batch_size, seed):
    own = loader(count, batch_size, seed)
    assert own.steps_per_epoch == max(count // batch_size, 1)
    assert sorted(own.order(3).tolist()) == list(range(count))
    seen = torch.cat([batch.indices for batch in own.batches(0, own.steps_per_epoch)])
    assert len(seen.unique()) == len(seen) == own.steps_per_epoch * min(batch_size, count)


def test_batches_carry_their_own_images_and_roles():
    for batch in loader(50, 16).batches(0, 6):
        assert batch.images[:, 0, 0, 0].tolist() == batch.indices.tolist()
        assert batch.roles.tolist() == (batch.indices % 3 - 1).tolist()
        assert batch.images.dtype == torch.uint8


@given(first=st.integers(0, 11))
def test_starting_in_the_middle_gives_the_same_batches(first):
    whole = [batch.indices.tolist() for batch in loader(50, 16).batches(0, 12)]
    assert [batch.indices.tolist() for batch in loader(50, 16).batches(first, 12)] == whole[first:]


def test_orders_differ_by_epoch_and_seed():
    orders = {tuple(loader(50, 16, seed).order(epoch).tolist()) for seed in (0, 1, 2**40) for epoch in range(3)}
    assert len(orders) == 9
