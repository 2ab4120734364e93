"""Runs the entries on this machine, each in a process of its own."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from hscl_fast.many_runs.files import RunFiles
from hscl_fast.many_runs.forked import start_forked
from hscl_fast.many_runs.pool import Pool
from hscl_fast.many_runs.process import RunProcess, start_process
from hscl_fast.many_runs.time_left import TimeLeft

_EVERY = 60.0  # seconds between two lines on progress


def start(files: RunFiles) -> RunProcess:
    """Start the process of a run."""
    return start_process(files, "hscl_fast.reproduce.one")


def start_short(files: RunFiles) -> RunProcess:
    """Start the process of a run of a few steps on the CPU, without waiting for its imports."""
    return start_forked(files, "hscl_fast.reproduce.record")


def run_here(
    todo: Sequence[RunFiles],
    left: TimeLeft,
    *,
    jobs: int,
    are_short: bool,
    finished: Callable[[RunFiles], None],
    say: Callable[[str], None],
) -> list[RunFiles]:
    """Run all, ``jobs`` at a time; return those that failed. ``are_short`` says that they take seconds on the CPU.

    Raises
    ------
    Interrupted
        A signal asked to stop; the runs under way have saved what they have done.
    """
    return Pool(jobs, _EVERY, start=start_short if are_short else start, finished=finished, say=say).run(todo, left)
