"""Means of runs, and their intervals."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import mean, stdev

from scipy.special import stdtrit

CONFIDENCE = 0.95


@dataclass(frozen=True)
class Mean:
    """A mean with its interval.

    Attributes
    ----------
    value
        The mean.
    half_width
        Of its 95 % interval by Student's t, which takes the values for independent; None for a single value.
    n
        Number of values.
    """

    value: float
    half_width: float | None
    n: int

    @property
    def sign(self) -> int:
        """+1 or -1 where the whole interval is above or below 0, else 0."""
        if self.half_width is None or abs(self.value) <= self.half_width:
            return 0
        return 1 if self.value > 0 else -1


def mean_of(values: Sequence[float]) -> Mean:
    """Return the mean of one value or more, with its 95 % interval.

    >>> found = mean_of([1.0, 2.0, 3.0])
    >>> found.value, round(found.half_width, 3)
    (2.0, 2.484)
    """
    n = len(values)
    if n == 1:
        return Mean(float(values[0]), None, 1)
    quantile = float(stdtrit(n - 1, 0.5 + CONFIDENCE / 2))
    return Mean(mean(values), quantile * stdev(values) / math.sqrt(n), n)
