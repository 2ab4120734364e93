"""Runs trainings side by side, each in a process of its own."""

from __future__ import annotations

import signal
import time
from collections.abc import Callable, Sequence
from typing import Any

from hscl_fast.interrupt import Interrupted, StopRequest
from hscl_fast.many_runs.files import RunFiles
from hscl_fast.many_runs.process import RunProcess, last_lines
from hscl_fast.many_runs.time_left import TimeLeft, clock

_POLL = 0.2  # seconds


class Pool:
    """Runs trainings side by side and says how far they are.

    Parameters
    ----------
    jobs
        The most that run at a time.
    every
        Seconds between two lines about the runs that are under way.
    start
        Starts the process of a run.
    finished
        Called after each run that has finished.
    say
        Prints a line.
    """

    def __init__(
        self,
        jobs: int,
        every: float,
        *,
        start: Callable[[RunFiles], RunProcess],
        finished: Callable[[RunFiles], None],
        say: Callable[[str], None],
    ) -> None:
        self._jobs, self._every = jobs, every
        self._start, self._finished, self._say = start, finished, say
        self._running: dict[RunProcess, tuple[RunFiles, float]] = {}
        self._failed: list[RunFiles] = []

    def run(self, todo: Sequence[RunFiles], left: TimeLeft) -> list[RunFiles]:
        """Run all; return those that failed.

        Raises
        ------
        Interrupted
            A signal asked to stop; the runs under way have saved what they have done.
        """
        waiting, total, told = list(todo), len(todo), time.monotonic()
        with StopRequest() as stop:
            while waiting or self._running:
                while waiting and len(self._running) < self._jobs:
                    files = waiting.pop(0)
                    self._running[self._start(files)] = files, time.monotonic()
                time.sleep(_POLL)
                if stop.received:
                    self._stop()
                    raise Interrupted(stop.received)
                for process in [process for process in self._running if process.poll() is not None]:
                    files, begun = self._running.pop(process)
                    done = total - len(waiting) - len(self._running)
                    self._end(files, process.poll() or 0, time.monotonic() - begun, f"[{done}/{total}]", left)
                if time.monotonic() - told >= self._every and self._running:
                    told = time.monotonic()
                    self._say_left(left, waiting)
        return self._failed

    def _end(self, files: RunFiles, code: int, seconds: float, number: str, left: TimeLeft) -> None:
        if code == 0 and (figures := files.figures()) is not None:
            left.add(files.run, seconds)
            self._say(f"{number} {finished_line(files, figures)}")
            self._finished(files)
            return
        self._failed.append(files)
        ended = f"exit code {code}" if code >= 0 else f"killed by {signal.Signals(-code).name}"
        self._say(f"{number} {failed_lines(files, ended)}")

    def _say_left(self, left: TimeLeft, waiting: Sequence[RunFiles]) -> None:
        now = time.monotonic()
        running = [(files, now - begun) for files, begun in self._running.values()]
        under_way = []
        for files, _ in running:
            step = files.progress()
            under_way.append(f"{files.run.title} ({'starting' if step is None else f'step {step[0]}'})")
        seconds = left.estimate(running, [files.run for files in waiting], self._jobs)
        known = "time left unknown" if seconds is None else f"about {clock(seconds)} left"
        self._say(f"    {known}; {len(waiting)} waiting; running: {'; '.join(under_way)}")

    def _stop(self) -> None:
        for process in self._running:
            process.terminate()
        for process in self._running:
            process.wait()


def finished_line(files: RunFiles, figures: dict[str, Any]) -> str:
    """Return a line on a finished run."""
    auroc = figures["auroc_mean"] if figures["auroc_mean"] is not None else figures["auroc"]
    shown = "no AUROC" if auroc is None else f"AUROC {100 * auroc:.1f} %"
    return f"{files.run.title}: {shown}, {clock(figures['total_seconds'])}"


def failed_lines(files: RunFiles, ended: str) -> str:
    """Return lines on a failed run, with the end of its log."""
    return f"FAILED ({ended}): {files.run.title}; the end of {files.log}:\n{last_lines(files.log)}"
