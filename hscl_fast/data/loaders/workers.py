"""Batches decoded by torch's DataLoader: slow but portable, for images too large for memory and not in a ``.beton``."""

from __future__ import annotations

import os
import signal
from collections.abc import Generator, Iterator
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset, Sampler

from hscl_fast.data.loaders.loader import Batch, Loader, deliver
from hscl_fast.data.loaders.order import WHOLE, Share
from hscl_fast.data.types import AnyImages, TrainingImages
from hscl_fast.errors import UsageError

_MOST_WORKERS = 8
_ADVICE = (
    "The run's last checkpoint is intact: restore the files as they were when it began and continue with --resume, or "
    "begin again with the corrected data."
)


class TorchLoader(Loader):
    """Shuffled batches of images, in memory or not.

    Parameters
    ----------
    training, batch_size, seed, device, share
        As for :class:`hscl_fast.data.loaders.loader.Loader`.
    workers
        Processes that decode; 0 decodes in this one. Unset: none for images in memory, else one per core, 8 at most.
    """

    def __init__(
        self,
        training: TrainingImages,
        batch_size: int,
        *,
        seed: int,
        device: torch.device,
        workers: int | None,
        share: Share = WHOLE,
    ) -> None:
        super().__init__(training, batch_size, seed=seed, device=device, share=share)
        self.images = training.images
        if workers is None:
            workers = 0 if isinstance(self.images, np.ndarray) else min(os.cpu_count() or 1, _MOST_WORKERS)
        self._workers = workers

    def batches(self, first_step: int, last_step: int) -> Generator[Batch, None, None]:
        """Yield the batches of steps ``first_step`` to ``last_step - 1``, counted over all epochs.

        Raises
        ------
        UsageError
            A file cannot be read any more; the message names it.
        """
        return deliver(self._loaded(first_step, last_step), self.roles)

    def _loaded(self, first_step: int, last_step: int) -> Generator[tuple[Tensor, Tensor], None, None]:
        loader: DataLoader[tuple[Tensor, Tensor] | str] = DataLoader(
            _Batches(self.images),
            batch_size=None,  # the sampler's items are whole batches
            sampler=_Steps(self, first_step, last_step),
            num_workers=self._workers,
            pin_memory=self.roles.device.type == "cuda",
            worker_init_fn=_outlive_signals if self._workers else None,
            generator=torch.Generator(),  # else the DataLoader draws from torch's global one
        )
        batches = iter(loader)
        try:
            for loaded in batches:
                if isinstance(loaded, str):
                    raise UsageError(f"{loaded} {_ADVICE}")
                yield loaded
        finally:
            del batches  # ends the workers now

    def steps(self, first_step: int, last_step: int) -> Iterator[Tensor]:
        """Yield the indices of each step's images."""
        for stretch in self._order.stretches(first_step, last_step, torch.device("cpu")):
            yield from stretch


class _Steps(Sampler[Tensor]):
    def __init__(self, loader: TorchLoader, first_step: int, last_step: int) -> None:
        self._loader, self._first, self._last = loader, first_step, last_step

    def __iter__(self) -> Iterator[Tensor]:
        return self._loader.steps(self._first, self._last)


@dataclass(frozen=True, eq=False)
class _Batches(Dataset[tuple[Tensor, Tensor] | str]):
    """Maps indices to a batch, or to the message of an error: an exception would come out as a worker's traceback."""

    images: AnyImages

    def __getitem__(self, indices: Tensor) -> tuple[Tensor, Tensor] | str:
        try:
            return torch.from_numpy(self.images[indices.numpy()]), indices.clone()
        except UsageError as error:
            return str(error)


def _outlive_signals(_worker: int) -> None:
    """Leave Ctrl-C and SIGTERM, which reach the whole process group, to the trainer, which saves first."""
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)
