"""Writes the reports of a training run into its run directory and shows them on the console."""

from __future__ import annotations

from typing import Any

from rich.console import Console
from torch import Tensor

from hscl_fast.method.objective import TERMS
from hscl_fast.progress import TrainingProgress
from hscl_fast.runs.checkpoint import save_checkpoint
from hscl_fast.runs.directory import RunDirectory
from hscl_fast.runs.tensorboard import EventWriter, open_writer

_SHORT_NAMES = {term.name: term.short for term in TERMS} | {"loss": "loss"}  # of comparators


class RunRecorder:
    """Records a run in its directory.

    Parameters
    ----------
    directory
        Directory of the rows and checkpoints; must exist when training begins.
    console
        Console for progress.
    tensorboard
        Whether to write TensorBoard event files too.
    """

    def __init__(self, directory: RunDirectory, console: Console, *, tensorboard: bool = False) -> None:
        self._directory, self._console = directory, console
        self._tensorboard = tensorboard
        self._writer: EventWriter | None = None
        self._progress: TrainingProgress | None = None

    def begin(self, *, done: int, total: int, steps_per_epoch: int) -> TrainingProgress:
        """Return the progress bar, to be entered while the run trains."""
        if self._tensorboard:
            self._writer = open_writer(self._directory.path)
        self._progress = TrainingProgress(
            self._console, _SHORT_NAMES, done=done, total=total, steps_per_epoch=steps_per_epoch
        )
        return self._progress

    def advance(self, step: int) -> None:
        """Show that ``step`` steps are done."""
        if self._progress is not None:
            self._progress.advance(step)

    def note(self, text: str) -> None:
        """Print one line above the bar."""
        self._console.print(text, soft_wrap=True, highlight=False)

    def log(self, row: dict[str, Any]) -> None:
        """Append a row to ``metrics.jsonl`` and show it."""
        self._directory.append_metrics(row)
        if self._progress is not None:
            self._progress.log(row)
        if self._writer is not None:
            self._writer.write(row)

    def validated(self, step: int, auroc: float) -> None:
        """Append a row of its own to ``metrics.jsonl``, since a validation need not fall on a row of losses."""
        row = {"step": step, "held_out_auroc": auroc}
        self._directory.append_metrics(row)
        if self._writer is not None:
            self._writer.write(row)

    def save(
        self, name: str, *, weights: dict[str, Tensor], info: dict[str, Any], state: dict[str, Any] | None = None
    ) -> None:
        """Write a checkpoint in place of the previous one of that name."""
        save_checkpoint(self._directory.checkpoint(name), weights=weights, info=info, state=state)
