"""The small network of Deep SVDD and Deep SAD, without biases, and its mirrored decoder, for images of any size.

The publication has one network for colour images of 32 pixels and one for grey ones of 28. Those are what these build
at these sizes. Smaller images get fewer poolings, and larger ones are averaged down to 32 pixels.
"""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

LARGEST_SIDE = 32  # pixels
_SMALLEST_SIDE = 3  # after a pooling, as 28 pixels after three
_EPS = 1e-4


class LeNet(nn.Module):
    """Convolutions of 5 x 5 pixels with batch normalisation, leaky ReLU and max-pooling, then a linear layer.

    No layer has a bias, and no normalisation has weights: with them, the network could map every image to the centre.

    Parameters
    ----------
    image_size
        Side of the images in pixels, 8 or more.
    grey
        Whether the images are grey: one input channel, widths 16 and 32, and two linear layers to 64 features. In
        colour there are three channels, widths 32, 64 and 128, and one linear layer to 128 features.

    Attributes
    ----------
    features
        D, the number of features.
    """

    def __init__(self, image_size: int, *, grey: bool) -> None:
        super().__init__()
        self.channels, self.features = (1, 64) if grey else (3, 128)
        self.widths: tuple[int, ...] = (16, 32) if grey else (32, 64, 128)
        self.sides = [min(image_size, LARGEST_SIDE)]
        for _ in self.widths:
            half = self.sides[-1] // 2
            self.sides.append(half if half >= _SMALLEST_SIDE else self.sides[-1])
        inputs = (self.channels, *self.widths)
        self.convolutions = nn.ModuleList(_convolution(*pair) for pair in zip(inputs, self.widths, strict=False))
        self.norms = nn.ModuleList(nn.BatchNorm2d(width, eps=_EPS, affine=False) for width in self.widths)
        flat = self.widths[-1] * self.sides[-1] ** 2
        self.head = nn.Sequential(*_head(flat, self.features, grey=grey))

    def forward(self, pixels: Tensor) -> Tensor:
        """Return the features ``[n, D]`` of :func:`network_pixels` ``[n, C, S, S]``."""
        x = pixels
        for convolution, norm, (before, after) in zip(
            self.convolutions, self.norms, zip(self.sides, self.sides[1:], strict=False), strict=True
        ):
            x = functional.leaky_relu(norm(convolution(x)))
            if after < before:
                x = functional.max_pool2d(x, 2)
        features: Tensor = self.head(x.flatten(1))
        return features


class MirroredDecoder(nn.Module):
    """The layers of a :class:`LeNet` in reverse, with enlargement for pooling and a sigmoid at the end.

    Parameters
    ----------
    encoder
        The network that it mirrors.
    """

    def __init__(self, encoder: LeNet) -> None:
        super().__init__()
        self.sides = encoder.sides[::-1]
        widths = encoder.widths[::-1]
        self.shape = (widths[0], self.sides[0], self.sides[0])
        self.head = nn.Linear(encoder.features, widths[0] * self.sides[0] ** 2, bias=False)
        outputs = (*widths[1:], encoder.channels)
        self.convolutions = nn.ModuleList(_convolution(*pair) for pair in zip(widths, outputs, strict=True))
        self.norms = nn.ModuleList(nn.BatchNorm2d(width, eps=_EPS, affine=False) for width in widths)

    def forward(self, features: Tensor) -> Tensor:
        """Return images ``[n, C, S, S]`` in (0, 1) from features ``[n, D]``."""
        x = self.head(features).view(-1, *self.shape)
        for convolution, norm, side in zip(self.convolutions, self.norms, self.sides[1:], strict=True):
            x = functional.leaky_relu(norm(x))
            if side != x.shape[-1]:
                x = functional.interpolate(x, size=(side, side), mode="nearest-exact")
            x = convolution(x)
        return torch.sigmoid(x)


def are_grey(images: NDArray[np.uint8]) -> bool:
    """Return whether images uint8 ``[n, H, W, 3]`` have three equal channels."""
    return bool((images[..., :1] == images[..., 1:]).all())


def network_pixels(images: Tensor, *, grey: bool) -> Tensor:
    """Return uint8 images ``[n, H, W, 3]`` as float32 ``[n, C, S, S]`` in [0, 1], with S at most 32.

    Grey images have one channel: the mean of the three, because a test image may have colours all the same.
    """
    pixels = images.permute(0, 3, 1, 2).float() / 255
    if grey:
        pixels = pixels.mean(dim=1, keepdim=True)
    side = min(pixels.shape[-1], LARGEST_SIDE)
    if side < pixels.shape[-1]:
        pixels = functional.interpolate(pixels, size=(side, side), mode="area")
    return pixels


def _convolution(inputs: int, outputs: int) -> nn.Conv2d:
    return nn.Conv2d(inputs, outputs, kernel_size=5, padding=2, bias=False)


def _head(flat: int, features: int, *, grey: bool) -> list[nn.Module]:
    if not grey:
        return [nn.Linear(flat, features, bias=False)]
    hidden = 2 * features
    norm = nn.BatchNorm1d(hidden, eps=_EPS, affine=False)
    return [nn.Linear(flat, hidden, bias=False), norm, nn.LeakyReLU(), nn.Linear(hidden, features, bias=False)]
