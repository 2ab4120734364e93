import math

import pytest
import torch
from comparators.comparing import digits, setting

from hscl_fast.comparators.blocks.bank import embed_crops
from hscl_fast.comparators.blocks.contrastive import (
    contrastive_losses,
    contrastive_network,
    contrastive_views,
    embed_upright,
)
from hscl_fast.method.network import Features
from hscl_fast.method.pretrained import FROM_SCRATCH


class Fixed:
    """Gives rows set embeddings, and the rotation classifier's logits."""

    statistics = FROM_SCRATCH

    def __init__(self, embeddings, logits=None):
        self.features = Features(embeddings, embeddings, logits)

    def __call__(self, views):
        return self.features


def losses(network, rotations):
    chosen = setting()
    images = torch.from_numpy(digits().training.images[:3])
    views = contrastive_views(chosen, rotations=rotations)
    return contrastive_losses(chosen, network, views, images, torch.arange(3), 0)


def test_rotated_copies_are_negatives():
    apart = torch.eye(12).repeat(2, 1)  # each turn of each image has a direction of its own, the same in both views
    together = torch.eye(12)[torch.arange(3).repeat(8)]  # all turns of an image share one
    found = losses(Fixed(apart), rotations=True)["loss"]
    assert found.item() == pytest.approx(math.log(math.exp(2) + 22) - 2, rel=1e-5)
    found = losses(Fixed(together), rotations=True)["loss"]  # 7 copies are as near as the positive
    assert found.item() == pytest.approx(math.log(7 * math.exp(2) + 16) - 2, rel=1e-5)


def test_the_rotation_classifier_is_told_the_turn_of_every_row():
    turns = torch.arange(4).repeat_interleave(3).repeat(2)
    right = 100 * torch.eye(4)[turns]
    apart = torch.eye(12).repeat(2, 1)
    assert losses(Fixed(apart, right), rotations=True)["rotation"].item() == pytest.approx(0, abs=1e-6)
    assert losses(Fixed(apart, right.flip(1)), rotations=True)["rotation"].item() > 50


def test_without_rotations_there_is_an_instance_per_image():
    found = losses(Fixed(torch.eye(3).repeat(2, 1)), rotations=False)
    assert found.keys() == {"loss"}
    assert found["loss"].item() == pytest.approx(math.log(math.exp(2) + 4) - 2, rel=1e-5)


def test_a_bank_has_the_mean_of_the_crops_of_each_turn_and_an_image_is_embedded_by_itself():
    chosen = setting()
    network = contrastive_network(chosen, rotations=True).eval()
    views = contrastive_views(chosen, rotations=True)
    images = digits().test.images[:6]
    bank = embed_crops(network, images, views, chosen.execution, crops=3)
    assert bank.embeddings.shape == (6, 4, 128)
    assert bank.rotation_logits.shape == (6, 4, 4)
    torch.testing.assert_close(
        embed_crops(network, images[4:5], views, chosen.execution, crops=3).embeddings, bank.embeddings[4:5]
    )
    assert not torch.allclose(
        embed_crops(network, images, views, chosen.execution, crops=1).embeddings, bank.embeddings
    )


def test_upright_embeddings_are_turned_as_asked():
    chosen = setting()
    network = contrastive_network(chosen, rotations=True).eval()
    images = torch.from_numpy(digits().test.images[:4])
    turned = torch.rot90(images, 1, (1, 2)).contiguous().numpy()
    found = embed_upright(network, images.numpy(), chosen, turn=1)
    torch.testing.assert_close(found, embed_upright(network, turned, chosen))
    assert not torch.allclose(found, embed_upright(network, images.numpy(), chosen))
