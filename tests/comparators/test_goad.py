import functools

import pytest
import torch
from comparators.comparing import auroc, digits, fitted, setting

from hscl_fast.comparators.goad import goad_losses, right_probability

SPLIT = functools.partial(digits, normal_class=4)  # which is the same in no other turn or flip


@functools.cache
def trained():
    return fitted("goad", SPLIT(), setting(total_steps=50, optim={"batch_size": 16}))


def test_goad_tells_digits_apart():
    assert auroc(trained(), SPLIT(), every=4) > 0.75


def test_the_right_transformation_wins():
    test = SPLIT().test
    goad, normal = trained(), test.images[~test.abnormal]
    features = torch.cat([some.features for some in goad.classifier.classify_all(normal)])
    nearest = torch.cdist(features, goad.centres).argmin(dim=2)
    assert (nearest == torch.arange(8)).float().mean() > 0.5  # 1/8 by chance


def test_the_losses_are_those_of_the_publication():
    which = torch.arange(2).repeat_interleave(2)
    features = torch.tensor([[3.0, 0.0], [5.0, 0.0], [0.0, 2.0], [0.0, 2.0]])  # centres (4, 0) and (0, 2)
    losses = goad_losses(features, torch.zeros(4, 2), which)
    # |z - c|^2 is 1, 1, 0, 0 for the own centre and 13, 29, 20, 20 for the other: no margin is missed.
    assert losses["triplet"].item() == 0
    assert losses["length"].item() == pytest.approx((9 + 25 + 4 + 4) / 8)
    swapped = goad_losses(features[[2, 1, 0, 3]], torch.zeros(4, 2), which)
    assert swapped["triplet"].item() > 1
    assert swapped["loss"].item() == pytest.approx(
        0.1 * swapped["triplet"].item() + 10 * swapped["length"].item() + torch.log(torch.tensor(2.0)).item(), rel=1e-5
    )


def test_a_view_at_the_centre_of_another_transformation_is_unlikely():
    centres = torch.tensor([[0.0, 0.0], [3.0, 0.0]])
    right = right_probability(centres[None], centres)
    assert right.tolist() == [[pytest.approx(-torch.log1p(torch.exp(torch.tensor(-9.0))).item(), rel=1e-3)] * 2]
    assert right_probability(centres.flip(0)[None], centres).tolist() == [[pytest.approx(-9, abs=1e-3)] * 2]
