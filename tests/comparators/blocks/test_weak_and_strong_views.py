import numpy as np
import torch
from comparators.comparing import digits
from hscl_kernels import augment_views

from hscl_fast.comparators.blocks.strong_views import strong_views
from hscl_fast.comparators.blocks.weak_views import crop54, draw_weak_views
from hscl_fast.config.sections import AugmentConfig
from hscl_fast.method.augment import draw_views

SEED, STEP = torch.tensor(3), torch.tensor(5)


def noise(count, side):
    return torch.randint(0, 256, (count, side, side, 3), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))


def weak(images, step=STEP, views=1):
    drawn = draw_weak_views(torch.arange(len(images)), seed=SEED, step=step, side=images.shape[1], views=views)
    return drawn, augment_views(images, drawn, mean=0.0, std=1 / 255).round().byte().permute(0, 2, 3, 1)


def test_a_weak_view_is_a_flip_and_a_shift_by_whole_pixels_with_the_mirror_image_at_the_border():
    images = noise(40, 32)
    drawn, views = weak(images)
    shifts = (drawn.crop[:, 2:] * 16).round().long()
    assert shifts.unique().tolist() == list(range(-4, 5))
    assert 10 < drawn.flip.sum() < 30
    for image, view, flip, (right, down) in zip(images, views, drawn.flip, shifts, strict=True):
        padded = np.pad(image.flip(1) if flip else image, ((4, 4), (4, 4), (0, 0)), mode="symmetric")
        np.testing.assert_array_equal(view, padded[4 + down : 36 + down, 4 + right : 36 + right])


def test_two_weak_views_of_an_image_differ_and_depend_on_its_index_and_the_step_alone():
    images = noise(8, 16)
    _, views = weak(images, views=2)
    assert not torch.equal(views[:8], views[8:])
    drawn = draw_weak_views(torch.tensor([5]), seed=SEED, step=STEP, side=16)
    assert torch.equal(
        augment_views(images[5:6], drawn, mean=0.0, std=1 / 255).round().byte()[0].permute(1, 2, 0), views[5]
    )
    assert not torch.equal(weak(images, step=torch.tensor(6))[1], views[:8])


def test_crops_of_elsa_have_at_least_54_percent_of_the_area():
    drawn = draw_views(crop54(AugmentConfig(rotations=1)), torch.arange(500), seed=SEED, step=STEP, size=(32, 32))
    area = drawn.crop[:, 0] * drawn.crop[:, 1]
    assert len(area) == 1000
    assert 0.5 < area.min() < 0.6  # whole pixels
    assert area.max() > 0.95


def test_strong_views_change_what_weak_ones_keep_and_cut_a_grey_square():
    images = digits(image_size=16).training.images[:30]
    for policy in ("randaugment", "autoaugment"):
        views = strong_views(torch.from_numpy(images), torch.arange(30), policy=policy, seed=SEED, step=STEP)
        _, plain = weak(torch.from_numpy(images))
        cut = (views == 127).all(dim=3)
        whole = cut.sum(dim=(1, 2)) >= 16  # a quarter of the square is inside at least
        assert whole.all()
        assert (views != plain)[~cut].any()
        assert 0.05 < cut.float().mean() < 0.4


def test_strong_views_depend_on_seed_step_and_index_alone():
    images, indices = noise(6, 16), torch.arange(6)
    torch.manual_seed(1)
    views = strong_views(images, indices, policy="randaugment", seed=SEED, step=STEP, views=2)
    state = torch.random.get_rng_state()
    some = strong_views(images[4:], indices[4:], policy="randaugment", seed=SEED, step=STEP)
    assert torch.equal(views[4:6], some)
    assert torch.equal(torch.random.get_rng_state(), state)
    assert not torch.equal(views[:6], views[6:])
    assert not torch.equal(
        views[:6], strong_views(images, indices, policy="randaugment", seed=SEED, step=torch.tensor(6))
    )
