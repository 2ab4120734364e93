"""Batches of cached features in place of images: a frozen encoder has seen every image once, before training."""

from __future__ import annotations

from collections.abc import Generator

import torch
from hscl_kernels.philox import random_uniforms
from torch import Tensor

from hscl_fast.data.loaders.loader import Batch, Loader
from hscl_fast.data.loaders.order import WHOLE, Share
from hscl_fast.data.types import TrainingImages
from hscl_fast.method.augment import VIEWS

_STREAM = 4  # of the counter-based generator


class FeatureLoader(Loader):
    """Shuffled batches whose ``images`` are features, float32 ``[2 B, F]``: two views of each image, view by view.

    With one cached view it is both; with more, two different ones are drawn for each image and step.

    Parameters
    ----------
    training, batch_size, seed, device, share
        As for :class:`hscl_fast.data.loaders.loader.Loader`; the images themselves are not read.

    Attributes
    ----------
    features
        float32 ``[n, V, F]`` of the training images on the device; to be set before the first batch.
    """

    def __init__(
        self, training: TrainingImages, batch_size: int, *, seed: int, device: torch.device, share: Share = WHOLE
    ) -> None:
        super().__init__(training, batch_size, seed=seed, device=device, share=share)
        self.features: Tensor | None = None

    def batches(self, first_step: int, last_step: int) -> Generator[Batch, None, None]:
        """Yield the batches of steps ``first_step`` to ``last_step - 1``, counted over all epochs."""
        assert self.features is not None
        flat, step = self.features.flatten(0, 1), first_step
        for stretch in self._order.stretches(first_step, last_step, flat.device):
            steps = torch.arange(step, step + len(stretch), device=flat.device)
            rows = stretch[:, None] * self.features.shape[1] + self._draw(stretch, steps)  # [steps, 2, B]
            for indices, chosen in zip(stretch, rows.flatten(1), strict=True):
                yield Batch(flat.index_select(0, chosen), self.roles[indices], indices)
            step += len(stretch)

    def _draw(self, indices: Tensor, steps: Tensor) -> Tensor:
        """Return two cached views, int64 ``[steps, 2, B]``, for images ``[steps, B]``."""
        assert self.features is not None
        count = self.features.shape[1]
        if count == 1:
            return indices.new_zeros(len(indices), VIEWS, 1)
        seed = torch.tensor(self._order.seed, device=indices.device)
        u = random_uniforms(seed, steps[:, None], indices, torch.zeros_like(indices), 2, stream=_STREAM)
        first = (count * u[0]).long()
        second = (first + 1 + ((count - 1) * u[1]).long()) % count
        return torch.stack((first, second), dim=1)
