"""The number of steps of a run, and the learning rate of each: linear warm-up, then cosine decay to zero."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from hscl_fast.config.sections import OptimConfig


def schedule_length(config: OptimConfig, steps_per_epoch: int) -> int:
    """Return the number of optimizer steps of a whole run."""
    steps = config.epochs * steps_per_epoch
    return steps if config.max_steps is None else min(steps, config.max_steps)


def learning_rate(step: Tensor, *, peak: float, warmup_steps: int, total_steps: int) -> Tensor:
    """Return the rates of the steps ``step`` (int64 of any shape, from 0), as float32 of that shape on its device.

    The rate rises linearly and reaches ``peak`` at the last of ``warmup_steps``, then falls as half a cosine that
    would reach 0 at ``total_steps``.
    """
    number = step.double()
    warm = (number + 1) / max(warmup_steps, 1)
    progress = (number - warmup_steps) / max(total_steps - warmup_steps, 1)
    decay = 0.5 * (1 + torch.cos(math.pi * progress.clamp(0, 1)))
    return (peak * torch.where(number < warmup_steps, warm, decay)).float()
