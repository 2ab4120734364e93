"""The section ``method``: which detector a run trains."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from hscl_fast.config.methods import HSCL, METHODS
from hscl_fast.config.sections.requirements import require
from hscl_fast.errors import UsageError
from hscl_fast.spelling import did_you_mean


@dataclass(frozen=True)
class MethodConfig:
    """Which detector is trained.

    Parameters
    ----------
    name
        ``hscl``, or a comparator (see docs/comparators.md). ``--method NAME`` is a shorter way to say it.
    mode
        How a comparator with a network is trained: ``shared`` (with this run's encoder and views, for as many views as
        hscl would take) or ``original`` (with the network and the schedule of its publication, for at most as many
        views).
    crops
        Crops of each image and turn that CSI, Elsa and Elsa+ average when they score; 10 in their publications. Each
        is a pass through the network.
    """

    name: str = HSCL
    mode: Literal["shared", "original"] = "shared"
    crops: int = 10

    def __post_init__(self) -> None:
        if self.name not in METHODS:
            raise UsageError(
                f"--method is {self.name!r}, but must be one of {', '.join(METHODS)}."
                f"{did_you_mean(self.name, METHODS)} Give one of these."
            )
        require(1 <= self.crops <= 100, "method.crops", self.crops, "in [1, 100]")
        if self.is_hscl:
            require(self.mode == "shared", "method.mode", self.mode, "shared with --method.name hscl")

    @property
    def is_hscl(self) -> bool:
        """Whether it is HSCL, and not a comparator."""
        return self.name == HSCL
