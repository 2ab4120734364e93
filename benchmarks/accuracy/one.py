"""The process of one run: ``python -m benchmarks.accuracy.one``, with a JSON object on its standard input.

The object has ``config`` (sections), ``out`` (the run directory), ``overwrite`` and ``figures`` (the file that gets the
figures of the finished run).
"""

from __future__ import annotations

import ctypes
import json
import signal
import sys
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

from rich.console import Console

from benchmarks.accuracy.record import measured
from hscl_fast.atomic import write_json
from hscl_fast.config.parsing import from_dict
from hscl_fast.errors import UsageError
from hscl_fast.interrupt import Interrupted
from hscl_fast.runs.checkpoint import MANIFEST, load_checkpoint
from hscl_fast.runs.directory import RunDirectory
from hscl_fast.runs.train_run import train_run

_PR_SET_PDEATHSIG = 1  # of prctl(2)


def main() -> int:
    """Train or resume the run that standard input describes; return the exit code."""
    _end_with_parent()
    try:
        _run(json.load(sys.stdin))
    except UsageError as error:
        print(f"error: {error}", flush=True)
        return 2
    except Interrupted as stopped:
        return stopped.exit_code
    return 0


def _run(request: dict[str, Any]) -> None:
    directory = RunDirectory(Path(request["out"]))
    config = from_dict(request["config"], "the trial")
    resume = directory.is_run and directory.config.exists() and not request["overwrite"]
    before = _trained_seconds(directory) if resume else 0.0
    start = time.monotonic()
    run = train_run(config, directory.path, resume=resume, overwrite=not resume, console=Console(width=120))
    # Of a run that was stopped, the training up to its last checkpoint is counted as well.
    figures = measured(run, before + time.monotonic() - start, before + time.process_time())
    write_json(Path(request["figures"]), figures)


def _trained_seconds(directory: RunDirectory) -> float:
    last = directory.checkpoint("last")
    return float(load_checkpoint(last).info["seconds"]) if (last / MANIFEST).exists() else 0.0


def _end_with_parent() -> None:
    """Ask Linux for a SIGTERM when the parent is killed, so that another start finds nothing still running."""
    with suppress(OSError, AttributeError):
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)


if __name__ == "__main__":
    sys.exit(main())
