"""Paired differences of runs, and how many of them there must be."""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from typing import TypeVar

from hscl_fast.many_runs.means import Mean, mean_of

Key = TypeVar("Key", bound=Hashable)

PAIRS = 5  # of (class, seed) that a default may change on, on each of
DATA_SETS = 2


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
