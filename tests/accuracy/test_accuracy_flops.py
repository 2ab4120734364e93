"""The operations of a training, against those counted by hand."""

from dataclasses import replace

import pytest
import torch
from conftest import tiny_config

from benchmarks.accuracy.flops import ViewFlops, training_flops, view_flops
from hscl_fast.config.recipes import load_recipe
from hscl_fast.method.network import build_network


def by_hand(network, size):
    """Two operations for each product of the convolutions and linear layers."""
    total = 0

    def add(module, inputs, output):
        nonlocal total
        weight = module.weight
        places = output.shape[2] * output.shape[3] if output.ndim == 4 else 1
        total += 2 * weight.numel() * places

    for module in network.modules():
        if isinstance(module, torch.nn.Conv2d | torch.nn.Linear):
            module.register_forward_hook(add)
    network.eval()(torch.zeros(1, 3, size, size))
    return total


@pytest.mark.parametrize("rotation_head", [False, True])
def test_a_view_has_the_operations_of_its_layers(rotation_head):
    config = tiny_config(objective={"shift_loss": rotation_head})
    network = build_network(config.model, 16, rotation_head=rotation_head, seed=0)
    found = view_flops(config, 16)
    assert found.encoder + found.heads == by_hand(network, 16)
    features, dimension = 128, config.model.embedding_dim
    assert found.heads == 2 * (features * features + features * dimension + 4 * features * rotation_head)


def test_training_is_three_forwards_and_a_frozen_encoder_one():
    view = ViewFlops(encoder=1000, heads=10)
    assert training_flops(tiny_config(), view, views=50, images=7) == 3 * 50 * 1010
    frozen = load_recipe("cpu", model={"width": 64, "pretrained": True, "freeze": True})
    assert training_flops(frozen, view, views=50, images=7) == 50 * 1000 + 3 * 50 * 10
    cached = replace(frozen, augment=replace(frozen.augment, cached_views=2, rotations=1))
    assert training_flops(cached, view, views=50, images=7) == 2 * 7 * 1000 + 3 * 50 * 10
