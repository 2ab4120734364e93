"""What a one-class training trains: a network with its own pre-training and its own centre."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from hscl_fast.comparators.blocks.loop import MakeOptimizer, Stage
from hscl_fast.comparators.blocks.rates import Rate
from hscl_fast.method.image_batches import ImageSequence


@dataclass(frozen=True)
class Plan:
    """The pre-training, and the steps, the images in a batch and the updates of what follows."""

    pretraining: Stage
    steps: int
    batch: int
    parameters: list[nn.Parameter]
    optimizer: MakeOptimizer
    rate: Rate


class OneClassBody(nn.Module, ABC):
    """A network on its device.

    Attributes
    ----------
    centre
        float32 ``[D]``, a buffer.
    """

    centre: Tensor

    def __init__(self, features: int, device: torch.device) -> None:
        super().__init__()
        self.register_buffer("centre", torch.zeros(features, device=device))

    @abstractmethod
    def plan(self, images: Tensor) -> Plan:
        """Return how it is trained on images uint8 ``[n, H, W, 3]``, which are on the CPU."""

    @abstractmethod
    def features(self, images: Tensor, indices: Tensor, step: int) -> tuple[Tensor, Tensor]:
        """Return the features ``[B, D]`` of training views of images uint8 ``[B, H, W, 3]`` on the device.

        The second result is a loss that is added to the one-class loss, a scalar.
        """

    @abstractmethod
    def embed(self, images: ImageSequence) -> Tensor:
        """Return the features, float32 ``[n, D]`` on the device, of images as they are."""

    @abstractmethod
    def centre_of(self, features: Tensor) -> Tensor:
        """Return the centre ``[D]`` of features ``[n, D]``."""
