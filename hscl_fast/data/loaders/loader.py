"""The interface of every loader, and the asynchronous copy of a batch to the device."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Generator
from contextlib import closing
from typing import NamedTuple

import torch
from torch import Tensor

from hscl_fast.data.loaders.order import WHOLE, BatchOrder, Share
from hscl_fast.data.types import TrainingImages


class Batch(NamedTuple):
    """``images`` uint8 ``[B, H, W, 3]``, ``roles`` int64 ``[B]``, ``indices`` int64 ``[B]`` in the training set.

    Where the features of a frozen encoder are cached, ``images`` are these: float32 ``[2 B, F]``.
    """

    images: Tensor
    roles: Tensor
    indices: Tensor


class Loader(ABC):
    """Shuffled batches of the training images.

    Every epoch visits the images once, in the order of :func:`hscl_fast.data.loaders.order.epoch_order`. The images
    that do not fill a last batch are left out of that epoch. A training set smaller than a batch is one batch.

    Parameters
    ----------
    training
        Images and roles.
    batch_size
        Images per step over all ranks; a smaller training set is one batch.
    seed
        Seed of the order.
    device
        Device of the batches.
    share
        The part of every batch that this process trains on.

    Attributes
    ----------
    batch_size
        Images per step over all ranks; each process gets its :class:`~hscl_fast.data.loaders.order.Share` of them.
    steps_per_epoch
        Steps that visit the images once.
    """

    def __init__(
        self, training: TrainingImages, batch_size: int, *, seed: int, device: torch.device, share: Share = WHOLE
    ) -> None:
        self.roles = torch.from_numpy(training.roles).to(device, torch.int64)
        self._order = BatchOrder(len(training.roles), batch_size, seed, share)
        self.batch_size, self.steps_per_epoch = self._order.batch_size, self._order.steps_per_epoch

    @abstractmethod
    def batches(self, first_step: int, last_step: int) -> Generator[Batch, None, None]:
        """Yield the batches of steps ``first_step`` to ``last_step - 1``, counted over all epochs."""


def deliver(host: Generator[tuple[Tensor, Tensor], None, None], roles: Tensor) -> Generator[Batch, None, None]:
    """Move batches to the device of ``roles``, copying each while the one before it is used.

    Parameters
    ----------
    host
        Images uint8 ``[B, H, W, 3]`` and indices int64 ``[B]`` on the CPU, which nothing else writes to; pinned if the
        device is a GPU.
    roles
        int64 ``[n]`` of the training set, on the device.
    """
    side = torch.cuda.Stream(roles.device) if roles.device.type == "cuda" else None
    ahead: Batch | None = None
    with closing(host):  # ends its threads or processes after the last batch that is used
        for pair in host:
            with torch.cuda.stream(side):  # no stream, no effect
                images, indices = (tensor.to(roles.device, non_blocking=True) for tensor in pair)
                sent = side.record_event() if side is not None else None
            if ahead is not None:
                yield ahead
            ahead = _arrive(images, indices, roles, sent)
    if ahead is not None:
        yield ahead


def _arrive(images: Tensor, indices: Tensor, roles: Tensor, sent: torch.cuda.Event | None) -> Batch:
    """Make the device's next work wait for the copy, while the host waits for neither."""
    if sent is not None:
        current = torch.cuda.current_stream(roles.device)
        current.wait_event(sent)
        for tensor in (images, indices):
            tensor.record_stream(current)  # the copy's stream owns its memory and would reuse it too early
    return Batch(images, roles[indices], indices)
