"""View parameters: a pure function of (seed, step, image), with the released sampler's distribution."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from hscl_fast.config.policies import POLICIES
from hscl_fast.config.sections import AugmentConfig
from hscl_fast.method.augment import draw_views, instance_ids

BATCH = 4000


def draw(config=None, indices=None, seed=0, step=0, size=(32, 32), **options):
    indices = torch.arange(BATCH) if indices is None else indices
    return draw_views(
        config or AugmentConfig(),
        indices,
        seed=torch.tensor(seed),
        step=torch.tensor(step),
        size=size,
        **options,
    )


def test_rows_are_ordered_by_view_rotation_image():
    parameters = draw(indices=torch.arange(5))
    assert parameters.image.tolist() == list(range(5)) * 8
    assert parameters.rotation.tolist() == [r for _ in range(2) for r in range(4) for _ in range(5)]
    assert instance_ids(5, torch.device("cpu")).tolist() == list(range(20)) * 2


def test_a_view_belongs_to_its_image_not_to_its_place_in_the_batch():
    order = torch.randperm(50, generator=torch.Generator().manual_seed(0))
    straight, shuffled = draw(indices=torch.arange(50)), draw(indices=order)
    for name in ("flip", "hue", "crop", "contrast_first"):
        field, moved = getattr(straight, name), getattr(shuffled, name)
        assert torch.equal(field.view(8, 50, -1)[:, order], moved.view(8, 50, -1)), name


@pytest.mark.parametrize("change", [{"seed": 1}, {"step": 1}])
def test_seed_and_step_change_every_view(change):
    assert (draw().hue != draw(**change).hue).all()


def test_rotated_copies_share_the_flip_and_nothing_else():
    parameters = draw()
    flips = parameters.flip.view(2, 4, BATCH)
    assert (flips == flips[:, :1]).all()
    assert (flips[0, 0] != flips[1, 0]).any()
    hues = parameters.hue.view(8, BATCH)
    assert (hues[0] != hues[1]).all()


def test_probabilities_and_ranges_are_the_released_ones():
    p = draw()
    share = {name: getattr(p, name).float().mean().item() for name in ("flip", "jitter", "contrast_first", "gray")}
    assert share == pytest.approx({"flip": 0.5, "jitter": 0.8, "contrast_first": 0.5, "gray": 0.2}, abs=0.02)
    for name, centre, width in (
        ("hue", 0, 0.1),
        ("saturation", 1, 0.4),
        ("value", 1, 0.4),
        ("contrast", 1, 0.4),
    ):
        values = getattr(p, name)
        assert values.min() >= centre - width
        assert values.max() <= centre + width
        assert values.mean().item() == pytest.approx(centre, abs=width * 0.02)
        assert values.std().item() == pytest.approx(width / 3**0.5, rel=0.02)


def released_crops(rng, count, size):
    """The released sampler, written anew: pooled trials, sizes in pixels, offsets in pixels."""
    area = rng.uniform(0.08, 1, count * 10) * size**2
    ratio = np.exp(rng.uniform(np.log(3 / 4), np.log(4 / 3), count * 10))
    w, h = np.round(np.sqrt(area * ratio)), np.round(np.sqrt(area / ratio))
    fits = (w > 0) & (w <= size) & (h > 0) & (h <= size)
    w, h = w[fits][:count], h[fits][:count]
    w_bias = rng.integers((w - size).astype(int), (size - w + 1).astype(int))
    h_bias = rng.integers((h - size).astype(int), (size - h + 1).astype(int))
    return np.stack((w, h, w_bias, h_bias), axis=1) / size


@pytest.mark.parametrize("size", [8, 28, 32])
def test_crops_are_distributed_as_the_released_ones(size):
    ours = draw(size=(size, size)).crop.numpy()
    theirs = released_crops(np.random.default_rng(0), len(ours), size)
    for column in range(4):
        gap = np.abs(
            np.quantile(ours[:, column], np.linspace(0, 1, 21)) - np.quantile(theirs[:, column], np.linspace(0, 1, 21))
        )
        assert gap.max() <= max(1.01 / size, 0.03), column
        assert ours[:, column].mean() == pytest.approx(theirs[:, column].mean(), abs=0.012)
    assert np.corrcoef(ours[:, 0], ours[:, 1])[0, 1] == pytest.approx(
        np.corrcoef(theirs[:, 0], theirs[:, 1])[0, 1], abs=0.03
    )
    # Whole pixels, inside the image.
    np.testing.assert_allclose(ours * size, np.round(ours * size), atol=1e-4)
    assert (np.abs(ours[:, 2:]) <= 1 - ours[:, :2] + 1e-6).all()


def test_crops_of_oblong_images_stay_inside():
    crop = draw(size=(16, 48)).crop
    assert (crop[:, :2] > 0).all()
    assert (crop[:, :2] <= 1).all()
    assert (crop[:, 2:].abs() <= 1 - crop[:, :2] + 1e-6).all()


@pytest.mark.parametrize("rotations", [1, 2])
def test_fewer_rotations_are_some_rows_of_four(rotations):
    indices = torch.arange(500) * 7
    every = draw(indices=indices, step=3)
    fewer = draw(AugmentConfig(rotations=rotations), indices=indices, step=3)
    assert fewer.image.tolist() == list(range(500)) * 2 * rotations
    turns = fewer.rotation.view(2, rotations, 500)
    assert not turns[:, 0].any()
    assert (turns[0] == turns[1]).all()  # rows with equal ids show the same turn
    rows = (torch.arange(2)[:, None, None] * 4 + turns) * 500 + torch.arange(500)
    for name, field in every._asdict().items():
        assert torch.equal(getattr(fewer, name), field[rows.flatten()]), name
    assert instance_ids(5, torch.device("cpu"), rotations).tolist() == list(range(5 * rotations)) * 2


def test_the_one_turn_is_drawn_for_each_image_and_step():
    config = AugmentConfig(rotations=2)

    def turns(**options):
        return draw(config, **options).rotation.view(2, 2, -1)[0, 1]

    shares = turns().bincount(minlength=4) / BATCH
    assert shares.tolist() == pytest.approx([0, 1 / 3, 1 / 3, 1 / 3], abs=0.03)
    order = torch.arange(BATCH).flip(0)
    assert torch.equal(turns(indices=order), turns()[order])
    for change in ({"seed": 1}, {"step": 1}):
        assert (turns() == turns(**change)).float().mean().item() == pytest.approx(1 / 3, abs=0.03)


def test_policy_none_only_rotates():
    parameters = draw(AugmentConfig(policy="none"), indices=torch.arange(3))
    assert parameters.rotation.view(2, 4, 3)[1, :, 0].tolist() == [0, 1, 2, 3]
    assert not (parameters.flip | parameters.jitter | parameters.gray).any()
    assert parameters.crop.unique(dim=0).tolist() == [[1, 1, 0, 0]]


def test_simclr_crops_first_and_draws_alike():
    parameters, released = draw(AugmentConfig(policy="simclr")), draw()
    assert parameters.crop_first.all()
    assert not released.crop_first.any()
    for name in ("flip", "jitter", "hue", "crop"):
        assert torch.equal(getattr(parameters, name), getattr(released, name)), name


def test_fields_that_are_set_replace_those_of_the_policy():
    assert AugmentConfig(policy="none", crop_area=(0.5, 0.5)).numbers == replace(POLICIES["none"], crop_area=(0.5, 0.5))
    assert AugmentConfig(hue=0.0).numbers.hue == 0.0


def test_configured_strengths_are_used():
    config = replace(
        AugmentConfig(),
        hue=0.0,
        gray_probability=1.0,
        flip_probability=0.0,
        crop_area=(1.0, 1.0),
        crop_ratio=(1.0, 1.0),
    )
    parameters = draw(config)
    assert not parameters.hue.any()
    assert parameters.gray.all()
    assert not parameters.flip.any()
    assert (parameters.crop == torch.tensor([1.0, 1, 0, 0])).all()
