"""What the process of one run does."""

from __future__ import annotations

import ctypes
import json
import signal
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

from rich.console import Console

from hscl_fast.atomic import write_json
from hscl_fast.config.parsing import from_dict
from hscl_fast.errors import UsageError
from hscl_fast.interrupt import Interrupted
from hscl_fast.runs.checkpoint import MANIFEST, load_checkpoint
from hscl_fast.runs.directory import RunDirectory
from hscl_fast.runs.run import Run
from hscl_fast.runs.train_run import train_run

# Of a finished run, its seconds and its CPU seconds: its figures as JSON values, among them ``auroc``, ``auroc_mean``
# and ``total_seconds``.
Measure = Callable[[Run, float, float], dict[str, Any]]

_PR_SET_PDEATHSIG = 1  # of prctl(2)


def main(measure: Measure) -> int:
    """Train or resume the run that standard input describes; return the exit code."""
    return answer(json.load(sys.stdin), measure)


def answer(request: dict[str, Any], measure: Measure) -> int:
    """Train or resume the run of a request, in a process of its own; return its exit code."""
    end_with_parent()
    try:
        train(request, measure)
    except UsageError as error:
        print(f"error: {error}", flush=True)
        return 2
    except Interrupted as stopped:
        return stopped.exit_code
    return 0


def train(request: dict[str, Any], measure: Measure) -> None:
    """Train or resume a run, and write its figures.

    Parameters
    ----------
    request
        ``config`` (sections), ``out`` (the run directory), ``overwrite`` and ``figures`` (the file that gets the
        figures), of :func:`hscl_fast.many_runs.process.request_of`.
    measure
        Measures the finished run.
    """
    directory = RunDirectory(Path(request["out"]))
    config = from_dict(request["config"], "the run")
    resume = directory.is_run and directory.config.exists() and not request["overwrite"]
    before = _trained_seconds(directory) if resume else 0.0
    start = time.monotonic()
    run = train_run(config, directory.path, resume=resume, overwrite=not resume, console=Console(width=120))
    # Of a run that was stopped, the training up to its last checkpoint is counted as well.
    figures = measure(run, before + time.monotonic() - start, before + time.process_time())
    write_json(Path(request["figures"]), figures)


def _trained_seconds(directory: RunDirectory) -> float:
    last = directory.checkpoint("last")
    return float(load_checkpoint(last).info["seconds"]) if (last / MANIFEST).exists() else 0.0


def end_with_parent() -> None:
    """Ask Linux for a SIGTERM when the parent is killed, so that another start finds nothing still running."""
    with suppress(OSError, AttributeError):
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)
