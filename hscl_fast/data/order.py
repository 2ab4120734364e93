"""The order of the training images: a pure function of (seed, epoch), the same for every loader and device."""

from __future__ import annotations

from collections.abc import Iterator

import torch
from hscl_kernels.philox import random_words
from torch import Tensor

_STREAM = 2  # of the counter-based generator


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
    """Cut steps into stretches within one epoch: yield ``(epoch, first place, last place)``, the last one excluded."""
    step = first_step
    while step < last_step:
        epoch, place = divmod(step, steps_per_epoch)
        end = min(steps_per_epoch, place + last_step - step)
        yield epoch, place, end
        step += end - place
