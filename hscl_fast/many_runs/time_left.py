"""Estimates how long the remaining runs take, from those that have finished."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Hashable, Sequence
from datetime import timedelta
from statistics import mean

from hscl_fast.many_runs.files import RunFiles
from hscl_fast.many_runs.planned import PlannedRun


class TimeLeft:
    """The mean time of finished runs that are like a run, or of all runs where there is none of these."""

    def __init__(self) -> None:
        self._seconds: defaultdict[Hashable, list[float]] = defaultdict(list)

    def add(self, run: PlannedRun, seconds: float) -> None:
        """Take a finished run into account."""
        self._seconds[run.like].append(seconds)

    def of_run(self, run: PlannedRun) -> float | None:
        """Return the seconds that a run is expected to take; None before any has finished."""
        same = self._seconds.get(run.like)
        every = [seconds for some in self._seconds.values() for seconds in some]
        return mean(same or every) if every else None

    def estimate(
        self, running: Sequence[tuple[RunFiles, float]], waiting: Sequence[PlannedRun], jobs: int
    ) -> float | None:
        """Return the seconds until all have finished, or None if nothing is known yet.

        Parameters
        ----------
        running
            The runs under way, and for how many seconds each has run.
        waiting
            The runs that have not begun.
        jobs
            How many run at a time.
        """
        total = 0.0
        for files, seconds in running:
            expected, progress = self.of_run(files.run), files.progress()
            if expected is not None:
                total += max(expected - seconds, 0.0 if progress is None else progress[1])
            elif progress is not None:
                total += progress[1]
            else:
                return None
        for run in waiting:
            expected = self.of_run(run)
            if expected is None:
                shown = [seconds + step[1] for files, seconds in running if (step := files.progress())]
                if not shown:
                    return None
                expected = mean(shown)
            total += expected
        return total / max(1, min(jobs, len(running) + len(waiting)))


def clock(seconds: float) -> str:
    """Return seconds as ``h:mm:ss``.

    >>> clock(3725.4)
    '1:02:05'
    """
    return str(timedelta(seconds=round(seconds)))
