"""The process of one run, as the process that starts it sees it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from contextlib import suppress
from pathlib import Path
from typing import Any, Protocol

import hscl_kernels

import hscl_fast
from hscl_fast.config.parsing import to_dict
from hscl_fast.many_runs.files import RunFiles

_ROOTS = [str(Path(package.__path__[0]).parent) for package in (hscl_fast, hscl_kernels)]
_LINES_OF_LOG = 8  # shown of a run that failed


class RunProcess(Protocol):
    """A process that runs."""

    def poll(self) -> int | None:
        """Return its exit code, -N where the signal N killed it; None while it runs."""

    def terminate(self) -> None:
        """Ask it to save and end."""

    def wait(self) -> int:
        """Wait for its end; return the exit code."""


def request_of(files: RunFiles) -> dict[str, Any]:
    """Return what :func:`hscl_fast.many_runs.one.train` is asked to do, as JSON values."""
    return {
        "config": to_dict(files.run.config),
        "out": str(files.directory.path),
        "overwrite": files.is_stale,
        "figures": str(files.figures_file),
    }


def import_path() -> str:
    """Return a ``PYTHONPATH`` with which another process imports the packages that this one has imported."""
    before = [path for path in os.environ.get("PYTHONPATH", "").split(os.pathsep) if path and path not in _ROOTS]
    return os.pathsep.join([*_ROOTS, *before])


def start_process(files: RunFiles, module: str) -> RunProcess:
    """Start ``python -m MODULE`` for a run; what it prints is added to the run's log.

    Parameters
    ----------
    files
        The run.
    module
        Calls :func:`hscl_fast.many_runs.one.main`.
    """
    request, threads = request_of(files), files.run.config.runtime.threads
    files.figures_file.unlink(missing_ok=True)
    environment = {**os.environ, "PYTHONPATH": import_path(), "PYTHONUNBUFFERED": "1"}
    if threads is not None:  # scikit-learn's detectors use as many as torch
        environment |= {"OMP_NUM_THREADS": str(threads)}
    with files.log.open("ab") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", module],
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
