"""Checks that a saved state has what a comparator needs."""

from __future__ import annotations

from collections.abc import Iterable

from hscl_fast.comparators.comparator import State


def require(state: State, names: Iterable[str]) -> None:
    """Check that a state has tensors of these names.

    Raises
    ------
    ValueError
        One is missing; the message is a predicate such as ``has no centre``.
    """
    for name in names:
        if name not in state:
            raise ValueError(f"has no {name}")
