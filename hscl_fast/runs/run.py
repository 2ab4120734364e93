"""A run: its directory, its configuration and its results."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from hscl_fast.config.sections import Config
from hscl_fast.runs.directory import Results, RunDirectory

if TYPE_CHECKING:  # its module imports scikit-learn, which is not needed to load a run
    from hscl_fast.evaluation.summary import Summary


@dataclass(frozen=True)
class Run:
    """The result of :func:`hscl_fast.runs.train_run.train_run` and :func:`hscl_fast.runs.evaluate_run.evaluate_run`.

    Attributes
    ----------
    directory
        The directory of its files.
    config
        The configuration it was trained with.
    summary
        The figures of its evaluation; None on ranks other than the first, which do not evaluate.
    results
        Where the evaluation's files are; None: in the run directory itself.
    """

    directory: RunDirectory
    config: Config
    summary: Summary | None
    results: Results | None = None

    @property
    def path(self) -> Path:
        """The run directory."""
        return self.directory.path
