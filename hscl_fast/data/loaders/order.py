"""The order of the training images: a pure function of (seed, epoch), the same for every loader, device and rank."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import torch
from hscl_kernels.philox import random_words
from torch import Tensor

from hscl_fast.counted import counted
from hscl_fast.errors import UsageError

_STREAM = 2  # of the counter-based generator


class Share(NamedTuple):
    """The part of every batch that a process trains on: the contiguous share ``rank`` of ``ranks`` equal ones."""

    rank: int = 0
    ranks: int = 1


WHOLE = Share()


class BatchOrder:
    """The training images of every step.

    Parameters
    ----------
    count
        Images in the training set.
    batch_size
        Images per step over all ranks; a smaller training set is one batch.
    seed
        Seed of the order.
    share
        The part of the batches that this process trains on.

    Raises
    ------
    UsageError
        The ranks cannot share a batch equally.
    """

    def __init__(self, count: int, batch_size: int, seed: int, share: Share) -> None:
        self.count, self.seed, self.share = count, seed, share
        self.batch_size = min(batch_size, count)
        self.steps_per_epoch = count // self.batch_size
        if self.batch_size % share.ranks:
            whole = f" (the whole training set, which is smaller than {batch_size})" if count < batch_size else ""
            below = self.batch_size // share.ranks * share.ranks
            raise UsageError(
                f"A batch has {counted(self.batch_size, 'image')}{whole}, which {share.ranks} ranks cannot share "
                f"equally. Give --optim.batch_size {below or share.ranks}, or start another number of ranks."
            )

    def stretches(self, first_step: int, last_step: int, device: torch.device) -> Iterator[Tensor]:
        """Yield this process's images of steps ``first_step`` to ``last_step - 1``.

        One tensor int64 ``[steps, own]`` for each epoch that the steps reach into.
        """
        for epoch, first, last in epoch_stretches(first_step, last_step, self.steps_per_epoch):
            order = epoch_order(self.seed, epoch, self.count, device)
            batches = order[first * self.batch_size : last * self.batch_size]
            yield batches.view(last - first, self.share.ranks, -1)[:, self.share.rank]


def epoch_order(seed: int, epoch: int, count: int, device: torch.device) -> Tensor:
    """Return the images' order in an epoch, an int64 permutation ``[count]`` on ``device``."""
    index = torch.arange(count, device=device)
    high, low = random_words(
        torch.tensor(seed, device=device),
        torch.tensor(epoch, device=device),
        index,
        index.new_zeros(()),
        2,
        stream=_STREAM,
    )
    return ((high << 31) ^ low).argsort(stable=True)


def epoch_stretches(first_step: int, last_step: int, steps_per_epoch: int) -> Iterator[tuple[int, int, int]]:
    """Cut steps into stretches within one epoch: yield ``(epoch, first place, last place)``, the last one excluded.

    >>> list(epoch_stretches(3, 9, steps_per_epoch=4))
    [(0, 3, 4), (1, 0, 4), (2, 0, 1)]
    """
    step = first_step
    while step < last_step:
        epoch, place = divmod(step, steps_per_epoch)
        end = min(steps_per_epoch, place + last_step - step)
        yield epoch, place, end
        step += end - place
