"""Learning rates over a stage, as factors of the highest one. All shorten with the stage."""

from __future__ import annotations

import math
from collections.abc import Callable

Rate = Callable[[int, int], float]  # a step, from 0, and the steps of the stage -> factor


def constant(step: int, steps: int) -> float:
    """Return 1."""
    return 1.0


def cosine(*, warmup: float = 0.0) -> Rate:
    """Return a linear warm-up over a share of the stage, then half a cosine that would reach 0 at its end."""

    def rate(step: int, steps: int) -> float:
        warm = round(warmup * steps)
        if step < warm:
            return (step + 1) / warm
        return (1 + math.cos(math.pi * (step - warm) / (steps - warm))) / 2

    return rate


def milestones(*shares: float, factor: float = 0.1) -> Rate:
    """Return a rate that is multiplied by ``factor`` at each of some shares of the stage."""

    def rate(step: int, steps: int) -> float:
        return float(factor ** sum(step >= share * steps for share in shares))

    return rate
