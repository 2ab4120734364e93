"""What a run knows about itself beside its weights."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass
class TrainingState:
    """Saved with every checkpoint.

    Attributes
    ----------
    step
        Steps done.
    seconds
        Time spent in training, over all sittings.
    best_auroc, best_step
        The highest AUROC on held-out images so far, and when it was reached; None before the first.
    """

    step: int = 0
    seconds: float = 0.0
    best_auroc: float | None = None
    best_step: int | None = None
