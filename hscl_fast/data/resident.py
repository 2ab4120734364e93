"""The whole training set on the device, in an order that is a pure function of (seed, epoch)."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import torch
from hscl_kernels.philox import random_words
from torch import Tensor

from hscl_fast.data.image_set import TrainingImages

_STREAM = 2  # of the counter-based generator


class Batch(NamedTuple):
    """``images`` uint8 ``[B, H, W, 3]``, ``roles`` int64 ``[B]``, ``indices`` int64 ``[B]`` in the training set."""

    images: Tensor
    roles: Tensor
    indices: Tensor


class ResidentLoader:
    """Shuffled batches of uint8 images that already lie on the device.

    Every epoch visits the images once in a fresh order; the few that do not fill a last batch wait for another epoch.

    Parameters
    ----------
    training
        Images and roles.
    batch_size
        Images a batch; a smaller training set is one batch.
    seed
        Seed of the order.
    device
        Where the images go.
    """

    def __init__(self, training: TrainingImages, batch_size: int, *, seed: int, device: torch.device) -> None:
        self.images = torch.from_numpy(training.images).to(device)
        self.roles = torch.from_numpy(training.roles).to(device, torch.int64)
        self.batch_size = min(batch_size, len(self.images))
        self.steps_per_epoch = len(self.images) // self.batch_size
        self._seed = torch.tensor(seed, device=device)

    def order(self, epoch: int) -> Tensor:
        """Return the images' order in an epoch, an int64 permutation ``[n]``."""
        index = torch.arange(len(self.images), device=self.images.device)
        high, low = random_words(
            self._seed,
            torch.tensor(epoch, device=index.device),
            index,
            index.new_zeros(()),
            2,
            stream=_STREAM,
        )
        return ((high << 31) ^ low).argsort(stable=True)

    def batches(self, first_step: int, last_step: int) -> Iterator[Batch]:
        """Yield the batches of steps ``first_step`` to ``last_step - 1``, counted over all epochs."""
        for step in range(first_step, last_step):
            epoch, place = divmod(step, self.steps_per_epoch)
            if place == 0 or step == first_step:
                order = self.order(epoch)
            indices = order[place * self.batch_size : (place + 1) * self.batch_size]
            yield Batch(self.images[indices], self.roles[indices], indices)
