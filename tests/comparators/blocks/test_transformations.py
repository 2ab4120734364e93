import numpy as np
import torch

from hscl_fast.comparators.blocks.transformations import (
    Transformations,
    e3_transformations,
    flips_and_turns,
    flips_turns_and_shifts,
)

CPU = torch.device("cpu")
RAW = {"mean": (0.0,) * 3, "std": (1 / 255,) * 3}


def rendered(maps, side=16):
    image = torch.randint(0, 256, (1, side, side, 3), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    every = torch.arange(len(maps))
    views = Transformations(maps, side, CPU).views(image, torch.zeros_like(every), every, **RAW)
    return image[0].numpy().astype(float), views.permute(0, 2, 3, 1).numpy()


def test_the_eight_are_the_symmetries_of_the_square():
    image, views = rendered(flips_and_turns())
    np.testing.assert_allclose(views[0], image, atol=1e-3)
    expected = [np.rot90(flipped, turns) for turns in range(4) for flipped in (image, image[:, ::-1])]
    for symmetry in expected:
        assert sum(np.abs(view - symmetry).max() < 1e-2 for view in views) == 1


def test_the_seventy_two_add_shifts_by_a_quarter_of_the_side_with_the_mirror_image_at_the_border():
    image, views = rendered(flips_turns_and_shifts())
    assert len(views) == 72
    assert len(np.unique(views.round().reshape(72, -1), axis=0)) == 72
    padded = np.pad(image, ((4, 4), (4, 4), (0, 0)), mode="symmetric")
    shifted = [padded[down : down + 16, right : right + 16] for down in (0, 4, 8) for right in (0, 4, 8)]
    for one in shifted:
        assert any(np.abs(view - one).max() < 1e-2 for view in views)


def test_e3outlier_has_111_different_ones():
    image, views = rendered(e3_transformations())
    assert len(views) == 111
    assert len(np.unique(views.round().reshape(111, -1), axis=0)) == 111
    np.testing.assert_allclose(views[0], image, atol=1e-3)
    for view in views[-23:]:  # the quarters of the image, none of them changed
        quarters = [view[:8, :8], view[:8, 8:], view[8:, :8], view[8:, 8:]]
        own = [image[:8, :8], image[:8, 8:], image[8:, :8], image[8:, 8:]]
        found = [next(k for k, part in enumerate(own) if np.abs(part - quarter).max() < 1e-2) for quarter in quarters]
        assert sorted(found) == [0, 1, 2, 3]


def test_rows_show_their_own_image_and_transformation():
    images = torch.randint(0, 256, (3, 8, 8, 3), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    transformations = Transformations(flips_and_turns(), 8, CPU)
    rows = transformations.views(images, torch.tensor([2, 0]), torch.tensor([5, 7]), **RAW)
    for row, image, which in ((0, 2, 5), (1, 0, 7)):
        alone = transformations.views(images[image, None], torch.tensor([0]), torch.tensor([which]), **RAW)
        torch.testing.assert_close(rows[row], alone[0])
    assert not torch.equal(rows[0], rows[1])
