"""Starts runs as forks of a process that has imported everything, which spares short runs seconds of importing.

The process that is forked has no thread and has not touched a GPU, so its forks are as good as new processes.
"""

from __future__ import annotations

import importlib
import multiprocessing
import os
import sys
from multiprocessing.context import ForkServerProcess
from typing import Any

from hscl_fast.many_runs.files import RunFiles
from hscl_fast.many_runs.process import RunProcess, import_path, request_of


class _Forked:
    """A :class:`hscl_fast.many_runs.process.RunProcess`."""

    def __init__(self, process: ForkServerProcess) -> None:
        self._process = process

    def poll(self) -> int | None:
        return self._process.exitcode

    def terminate(self) -> None:
        self._process.terminate()

    def wait(self) -> int:
        self._process.join()
        assert self._process.exitcode is not None
        return self._process.exitcode


def start_forked(files: RunFiles, module: str) -> RunProcess:
    """Start a run in a fork; what it prints is added to the run's log.

    Parameters
    ----------
    files
        The run.
    module
        Its ``measured`` is a :data:`hscl_fast.many_runs.one.Measure`.
    """
    files.figures_file.unlink(missing_ok=True)
    context = multiprocessing.get_context("forkserver")
    # Read when the server starts, with the first run.
    context.set_forkserver_preload(["hscl_fast.many_runs.one", "sklearn.svm", "sklearn.ensemble", module])
    os.environ["PYTHONPATH"] = import_path()
    if files.run.config.runtime.threads is not None:
        os.environ.setdefault("OMP_NUM_THREADS", str(files.run.config.runtime.threads))
    process = context.Process(target=_run, args=(request_of(files), str(files.log), module))
    process.start()
    return _Forked(process)


def _run(request: dict[str, Any], log: str, module: str) -> None:
    os.setsid()  # Ctrl-C must reach it once, through the process that started it
    output = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o666)
    for descriptor in (1, 2):
        os.dup2(output, descriptor)
    from hscl_fast.many_runs.one import answer

    status = answer(request, importlib.import_module(module).measured)
    sys.stdout.flush()
    sys.exit(status)
