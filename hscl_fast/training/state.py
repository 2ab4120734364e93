"""The progress of a run, which is saved beside its weights."""

from __future__ import annotations

from dataclasses import dataclass


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

    step: int = 0
    seconds: float = 0.0
    best_auroc: float | None = None
    best_step: int | None = None
