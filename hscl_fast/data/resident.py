"""The whole training set on the device."""

from __future__ import annotations

from collections.abc import Generator

import numpy as np
import torch
from torch import Tensor

from hscl_fast.data.batch import Batch
from hscl_fast.data.image_set import TrainingImages
from hscl_fast.data.order import epoch_order, epoch_stretches


class ResidentLoader:
    """Shuffled batches of uint8 images that already lie on the device: see :class:`hscl_fast.data.batch.Loader`.

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
        images = training.images
        self.images = torch.from_numpy(images if isinstance(images, np.ndarray) else images[:]).to(device)
        self.roles = torch.from_numpy(training.roles).to(device, torch.int64)
        self.batch_size = min(batch_size, len(self.images))
        self.steps_per_epoch = len(self.images) // self.batch_size
        self._seed = seed

    def order(self, epoch: int) -> Tensor:
        """Return the images' order in an epoch, an int64 permutation ``[n]``."""
        return epoch_order(self._seed, epoch, len(self.images), self.images.device)

    def batches(self, first_step: int, last_step: int) -> Generator[Batch, None, None]:
        """Yield the batches of steps ``first_step`` to ``last_step - 1``, counted over all epochs."""
        for epoch, first, last in epoch_stretches(first_step, last_step, self.steps_per_epoch):
            order = self.order(epoch)
            for place in range(first, last):
                indices = order[place * self.batch_size : (place + 1) * self.batch_size]
                # On the CPU index_select copies whole images, where self.images[indices] copies byte by byte.
                yield Batch(self.images.index_select(0, indices), self.roles[indices], indices)
