"""The progress of a run, which is saved beside its weights."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from pydantic import Field


@dataclass
class TrainingState:
    """The progress of a run, saved with every checkpoint.

    Attributes
    ----------
    step
        Steps done.
    seconds
        Time spent in training, including that before a resume.
    best_auroc, best_step
        The highest AUROC on held-out images so far, and its step; None before the first validation.
    """

    step: Annotated[int, Field(ge=0)] = 0
    seconds: Annotated[float, Field(ge=0, allow_inf_nan=False)] = 0.0
    best_auroc: Annotated[float, Field(ge=0, le=1)] | None = None
    best_step: Annotated[int, Field(ge=0)] | None = None
