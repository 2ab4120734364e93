"""The interface through which training reports figures and checkpoints."""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext
from typing import Any, Protocol

from torch import Tensor


class Recorder(Protocol):
    """Receives the reports of a training run."""

    def begin(self, *, done: int, total: int, steps_per_epoch: int) -> AbstractContextManager[object]:
        """Return the context in which the run trains from step ``done`` to step ``total``."""

    def advance(self, step: int) -> None:
        """Note that ``step`` steps are done."""

    def note(self, text: str) -> None:
        """Show one line."""

    def log(self, row: dict[str, Any]) -> None:
        """Keep a row of figures: JSON values by name, including ``step``."""

    def validated(self, step: int, auroc: float) -> None:
        """Keep the AUROC on the held-out labelled images after a step."""

    def save(
        self, name: str, *, weights: dict[str, Tensor], info: dict[str, Any], state: dict[str, Any] | None = None
    ) -> None:
        """Save a checkpoint, ``last`` or ``best``, in place of the previous one of that name."""


class SilentRecorder:
    """Ignores all reports: for ranks other than the first, and for runs that are only measured."""

    def begin(self, *, done: int, total: int, steps_per_epoch: int) -> AbstractContextManager[object]:
        """Return a context that does nothing."""
        return nullcontext()

    def advance(self, step: int) -> None:
        """Ignore the step."""

    def note(self, text: str) -> None:
        """Ignore the line."""

    def log(self, row: dict[str, Any]) -> None:
        """Ignore the row."""

    def validated(self, step: int, auroc: float) -> None:
        """Ignore the AUROC."""

    def save(
        self, name: str, *, weights: dict[str, Tensor], info: dict[str, Any], state: dict[str, Any] | None = None
    ) -> None:
        """Ignore the checkpoint."""
