"""Residual networks with pre-activation: wide ones for small images, and ResNet-18 with them (He et al., ECCV 2016)."""

from __future__ import annotations

from collections.abc import Sequence

import torch.nn.functional as F
from torch import Tensor, nn


class PreActivationNetwork(nn.Module):
    """A 3x3 convolution, stages of residual blocks that each halve the image, and the mean over its pixels.

    Parameters
    ----------
    stem
        Channels of the first convolution.
    widths
        Channels of the stages. The first stage keeps the resolution.
    blocks
        Residual blocks per stage.

    Attributes
    ----------
    features
        F, the channels of the last stage.
    """

    def __init__(self, stem: int, widths: Sequence[int], blocks: int) -> None:
        super().__init__()
        self.features = widths[-1]
        layers: list[nn.Module] = [nn.Conv2d(3, stem, 3, padding=1, bias=False)]
        before = stem
        for stage, width in enumerate(widths):
            for block in range(blocks):
                layers.append(_Block(before, width, stride=2 if stage and not block else 1))
                before = width
        self.layers = nn.Sequential(*layers)
        self.norm = nn.BatchNorm2d(before)
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")

    def forward(self, views: Tensor) -> Tensor:
        """Return the features ``[N, F]`` of ``views [N, 3, H, W]``."""
        features: Tensor = F.relu(self.norm(self.layers(views))).mean(dim=(2, 3))
        return features


class _Block(nn.Module):
    """Two 3x3 convolutions, each after normalisation and ReLU, added to the input or to a projection of it."""

    def __init__(self, before: int, width: int, stride: int) -> None:
        super().__init__()
        self.first_norm = nn.BatchNorm2d(before)
        self.first = nn.Conv2d(before, width, 3, stride=stride, padding=1, bias=False)
        self.second_norm = nn.BatchNorm2d(width)
        self.second = nn.Conv2d(width, width, 3, padding=1, bias=False)
        fits = before == width and stride == 1
        self.projection = None if fits else nn.Conv2d(before, width, 1, stride=stride, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        active = F.relu(self.first_norm(x))
        shortcut = x if self.projection is None else self.projection(active)
        added: Tensor = shortcut + self.second(F.relu(self.second_norm(self.first(active))))
        return added


def wide_resnet(depth: int, widening: int) -> PreActivationNetwork:
    """Return WRN-``depth``-``widening`` (Zagoruyko and Komodakis, BMVC 2016); depth is 6 n + 4, such as 10 or 28."""
    return PreActivationNetwork(16, [widening * width for width in (16, 32, 64)], (depth - 4) // 6)


def preactivation_resnet18() -> PreActivationNetwork:
    """Return ResNet-18 with pre-activation for small images."""
    return PreActivationNetwork(64, (64, 128, 256, 512), 2)
