"""Means, their intervals, and paired differences."""

from __future__ import annotations

import math
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass
from statistics import mean, stdev
from typing import TypeVar

from scipy.special import stdtrit

Key = TypeVar("Key", bound=Hashable)

CONFIDENCE = 0.95
PAIRS = 5  # of (class, seed) that a default may change on, on each of
DATA_SETS = 2


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

    >>> mean_of([1.0, 2.0, 3.0])
    Mean(value=2.0, half_width=2.484..., n=3)
    """
    n = len(values)
    if n == 1:
        return Mean(float(values[0]), None, 1)
    quantile = float(stdtrit(n - 1, 0.5 + CONFIDENCE / 2))
    return Mean(mean(values), quantile * stdev(values) / math.sqrt(n), n)


def paired_difference(values: Mapping[Key, float], reference: Mapping[Key, float]) -> Mean | None:
    """Return the mean difference to a reference over the keys that both have; None if there are none.

    Parameters
    ----------
    values, reference
        A value by key, such as the AUROC of each class and seed.
    """
    common = [key for key in values if key in reference]
    return mean_of([values[key] - reference[key] for key in common]) if common else None


def may_change_default(pairs: Mapping[str, int]) -> bool:
    """Whether there are enough pairs to change a default: at least 5, on at least 2 data sets.

    Parameters
    ----------
    pairs
        The number of pairs of a normal class and a seed on each data set.
    """
    return sum(count >= PAIRS for count in pairs.values()) >= DATA_SETS
