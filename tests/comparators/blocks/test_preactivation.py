import pytest
import torch
from torch import nn

from hscl_fast.comparators.blocks.preactivation import preactivation_resnet18, wide_resnet


@pytest.mark.parametrize(
    ("network", "features", "millions"),
    [(wide_resnet(10, 4), 256, 1.2), (wide_resnet(28, 2), 128, 1.5), (preactivation_resnet18(), 512, 11.2)],
    ids=["WRN-10-4", "WRN-28-2", "PreAct-ResNet-18"],
)
def test_size_and_depth_are_those_of_the_publication(network, features, millions):
    assert network.features == features
    assert sum(parameter.numel() for parameter in network.parameters()) / 1e6 == pytest.approx(millions, abs=0.06)
    convolutions = [
        module for module in network.modules() if isinstance(module, nn.Conv2d) and module.kernel_size == (3, 3)
    ]
    assert len(convolutions) == {256: 7, 128: 25, 512: 17}[features]
    assert network(torch.zeros(2, 3, 8, 8)).shape == (2, features)
