"""The scales by which the temperature enters the sweep: exp(s / tau) = 2**(<scaled unit, scaled unit>)."""

from __future__ import annotations

import math

ONLINE_BELOW = 0.03  # exp(+-1/tau) times 2**20 rows stays inside float32 down to here


def unit_scale(temperature: float) -> float:
    """Return sqrt(log2(e) / tau), the factor that unit rows carry."""
    return math.sqrt(math.log2(math.e) / temperature)


def gradient_scale(temperature: float) -> float:
    """Return the factor that turns sum_j G_ij (scaled unit)_j into dL/du_i: 1 / (tau unit_scale)."""
    return unit_scale(temperature) * math.log(2)


def is_online(temperature: float) -> bool:
    """Return whether sums of exp(s / tau) must be kept as log sums with a running maximum."""
    return temperature < ONLINE_BELOW
