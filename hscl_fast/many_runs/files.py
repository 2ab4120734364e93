"""How far a planned run is, as its files say."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hscl_fast.errors import UsageError
from hscl_fast.many_runs.planned import PlannedRun, same_configuration
from hscl_fast.runs.directory import RunDirectory


@dataclass(frozen=True)
class RunFiles:
    """The files of a planned run: its directory, and beside it its figures and its log.

    Parameters
    ----------
    run
        The planned run.
    runs
        The folder of all runs.
    """

    run: PlannedRun
    runs: Path

    @property
    def directory(self) -> RunDirectory:
        """The run directory."""
        return RunDirectory(self.runs / self.run.folder)

    @property
    def figures_file(self) -> Path:
        """What was measured of the finished run, as JSON."""
        return self.runs / f"{self.run.folder}.json"

    @property
    def log(self) -> Path:
        """All that the run has printed."""
        return self.runs / f"{self.run.folder}.log"

    @property
    def is_stale(self) -> bool:
        """Whether the run was made with another configuration, because a default has changed since."""
        directory = self.directory
        if not directory.config.exists():
            return False
        try:
            saved = directory.load_config()
        except UsageError:
            return True
        return not same_configuration(saved, self.run.config, self.run.data)

    def figures(self) -> dict[str, Any] | None:
        """Return the figures of the run, or None if it has not finished or was made with another configuration."""
        try:
            figures: dict[str, Any] = json.loads(self.figures_file.read_text(encoding="utf-8"))
        except (FileNotFoundError, ValueError):
            return None
        return None if self.is_stale or not self.directory.config.exists() else figures

    def progress(self) -> tuple[int, float] | None:
        """Return the step of the last row of losses, and the seconds of training that it says are left."""
        try:
            rows = [row for row in self.directory.read_metrics() if "seconds_left" in row]
            return int(rows[-1]["step"]), float(rows[-1]["seconds_left"])
        except (UsageError, IndexError, TypeError):  # there is none yet, or it is not a number
            return None
