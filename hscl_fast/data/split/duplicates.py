"""Finds pictures that a user's data has twice in uses that contradict each other, by the hash of their content."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from hscl_fast.data.types import ABNORMAL, NORMAL, UNLABELLED

_ROLES = {NORMAL: "normal", UNLABELLED: "unlabelled", ABNORMAL: "abnormal"}
_SHOWN = 3


@dataclass(frozen=True)
class Use:
    """What a picture is used for.

    Parameters
    ----------
    part
        ``train``, ``held out`` or ``test``.
    role
        +1, 0 or -1.
    """

    part: Literal["train", "held out", "test"]
    role: int

    def contradicts(self, other: Use) -> bool:
        """Whether one picture may not have both uses: it is in two parts, or is abnormal and is not."""
        return self.part != other.part or (self.role != other.role and ABNORMAL in (self.role, other.role))

    def __str__(self) -> str:
        return f"{self.part}, {_ROLES[self.role]}"


@dataclass(frozen=True)
class Duplicate:
    """Two names of one picture, and what each is used for."""

    first: str
    first_use: Use
    second: str
    second_use: Use

    def __str__(self) -> str:
        return f"{self.first} ({self.first_use}) = {self.second} ({self.second_use})"


def find_duplicates(contents: Sequence[bytes], names: Sequence[str], uses: Sequence[Use]) -> tuple[Duplicate, ...]:
    """Return the pairs of equal content whose uses contradict each other.

    Parameters
    ----------
    contents, names, uses
        Per image the hash of its content, its name and its use.

    Returns
    -------
    tuple of Duplicate
        For every image that contradicts an earlier one of equal content one pair, with the first such image.

    Examples
    --------
    >>> uses = [Use("train", 0), Use("train", 0), Use("test", -1)]
    >>> for pair in find_duplicates([b"a", b"b", b"a"], ["1.png", "2.png", "3.png"], uses):
    ...     print(pair)
    1.png (train, unlabelled) = 3.png (test, abnormal)
    """
    found = []
    first_of: dict[bytes, dict[Use, str]] = {}
    for content, name, use in zip(contents, names, uses, strict=True):
        seen = first_of.setdefault(content, {})
        for other_use, other in seen.items():
            if use.contradicts(other_use):
                found.append(Duplicate(other, other_use, name, use))
                break
        seen.setdefault(use, name)
    return tuple(found)


def describe_duplicates(duplicates: Sequence[Duplicate]) -> str:
    """Return one sentence with the number of pairs and the first of them."""
    count = len(duplicates)
    if count == 1:
        return f"one picture is there twice, in uses that contradict each other: {duplicates[0]}"
    shown = "; ".join(str(pair) for pair in duplicates[:_SHOWN])
    rest = f"; and {count - _SHOWN:,} more" if count > _SHOWN else ""
    return f"{count:,} pictures are there twice, in uses that contradict each other: {shown}{rest}"
