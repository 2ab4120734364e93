"""Runs trainings side by side, each in a process of its own."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path

from benchmarks.accuracy.state import RunFiles
from benchmarks.accuracy.time_left import TimeLeft, clock
from hscl_fast.config.parsing import to_dict
from hscl_fast.interrupt import Interrupted, StopRequest

ROOT = Path(__file__).parents[2]
_POLL = 0.2  # seconds
_LINES_OF_LOG = 8  # shown of a run that failed


class Pool:
    """Runs trainings side by side and says how far they are.

    Parameters
    ----------
    jobs
        The most that run at a time.
    every
        Seconds between two lines about the runs that are under way.
    finished
        Called after each run that has finished.
    """

    def __init__(self, jobs: int, every: float, finished: Callable[[RunFiles], None]) -> None:
        self._jobs, self._every, self._finished = jobs, every, finished
        self._running: dict[subprocess.Popen[bytes], tuple[RunFiles, float]] = {}
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
                    self._running[start(files)] = files, time.monotonic()
                time.sleep(_POLL)
                if stop.received:
                    self._stop()
                    raise Interrupted(stop.received)
                for process in [process for process in self._running if process.poll() is not None]:
                    files, begun = self._running.pop(process)
                    done = total - len(waiting) - len(self._running)
                    self._end(files, process.returncode, time.monotonic() - begun, f"[{done}/{total}]", left)
                if time.monotonic() - told >= self._every and self._running:
                    told = time.monotonic()
                    self._say_left(left, waiting)
        return self._failed

    def _end(self, files: RunFiles, code: int, seconds: float, number: str, left: TimeLeft) -> None:
        figures = files.figures()
        if code == 0 and figures is not None:
            left.add(files.run, seconds)
            auroc = figures["auroc_mean"] if figures["auroc_mean"] is not None else figures["auroc"]
            shown = "no AUROC" if auroc is None else f"AUROC {100 * auroc:.1f} %"
            print(f"{number} {files.run.title}: {shown}, {clock(figures['total_seconds'])}", flush=True)
            self._finished(files)
            return
        self._failed.append(files)
        ended = f"exit code {code}" if code >= 0 else f"killed by {signal.Signals(-code).name}"
        print(f"{number} FAILED ({ended}): {files.run.title}; the end of {files.log}:", flush=True)
        print(last_lines(files.log), flush=True)

    def _say_left(self, left: TimeLeft, waiting: Sequence[RunFiles]) -> None:
        now = time.monotonic()
        running = [(files, now - begun) for files, begun in self._running.values()]
        under_way = []
        for files, _ in running:
            step = files.progress()
            under_way.append(f"{files.run.title} ({'starting' if step is None else f'step {step[0]}'})")
        seconds = left.estimate(running, [files.run for files in waiting], self._jobs)
        known = "time left unknown" if seconds is None else f"about {clock(seconds)} left"
        print(f"    {known}; {len(waiting)} waiting; running: {'; '.join(under_way)}", flush=True)

    def _stop(self) -> None:
        for process in self._running:
            process.terminate()
        for process in self._running:
            process.wait()


def start(files: RunFiles) -> subprocess.Popen[bytes]:
    """Start the process of a run; what it prints is added to the run's log."""
    config = files.run.config
    request = {
        "config": to_dict(config),
        "out": str(files.directory.path),
        "overwrite": files.is_stale,
        "figures": str(files.figures_file),
    }
    files.figures_file.unlink(missing_ok=True)
    paths = [str(ROOT), str(ROOT / "kernels"), os.environ.get("PYTHONPATH", "")]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, paths)), "PYTHONUNBUFFERED": "1"}
    if config.runtime.threads is not None:  # scikit-learn's peers use as many as torch
        environment |= {"OMP_NUM_THREADS": str(config.runtime.threads)}
    with files.log.open("ab") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", "benchmarks.accuracy.one"],
            stdin=subprocess.PIPE,
            stdout=log,
            stderr=subprocess.STDOUT,
            env=environment,
            start_new_session=True,  # Ctrl-C must reach it once, through this process
        )
    assert process.stdin is not None
    with suppress(BrokenPipeError), process.stdin as pipe:  # it has ended at once; its log says why
        pipe.write(json.dumps(request).encode())
    return process


def last_lines(log: Path) -> str:
    """Return the last lines of a log, indented."""
    text = log.read_text(encoding="utf-8", errors="replace")
    return "\n".join(f"    | {line}" for line in text.splitlines()[-_LINES_OF_LOG:])
