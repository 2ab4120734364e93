"""The whole training set on the device."""

from __future__ import annotations

from collections.abc import Generator

import numpy as np
import torch
from torch import Tensor

from hscl_fast.data.loaders.loader import Batch, Loader
from hscl_fast.data.loaders.order import WHOLE, Share, epoch_order
from hscl_fast.data.types import TrainingImages


class ResidentLoader(Loader):
    """Shuffled batches of uint8 images that already lie on the device, where ``training`` is copied once."""

    def __init__(
        self, training: TrainingImages, batch_size: int, *, seed: int, device: torch.device, share: Share = WHOLE
    ) -> None:
        super().__init__(training, batch_size, seed=seed, device=device, share=share)
        images = training.images
        self.images = torch.from_numpy(images if isinstance(images, np.ndarray) else images[:]).to(device)

    def order(self, epoch: int) -> Tensor:
        """Return the images' order in an epoch, an int64 permutation ``[n]``."""
        return epoch_order(self._order.seed, epoch, len(self.images), self.images.device)

    def batches(self, first_step: int, last_step: int) -> Generator[Batch, None, None]:
        """Yield the batches of steps ``first_step`` to ``last_step - 1``, counted over all epochs."""
        for stretch in self._order.stretches(first_step, last_step, self.images.device):
            for indices in stretch:
                # On the CPU index_select copies whole images, where self.images[indices] copies byte by byte.
                yield Batch(self.images.index_select(0, indices), self.roles[indices], indices)
