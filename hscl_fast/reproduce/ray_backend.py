"""Runs the entries as tasks of a Ray cluster, whose machines share the folder of the runs."""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from hscl_fast.errors import UsageError
from hscl_fast.interrupt import Interrupted, StopRequest
from hscl_fast.many_runs.files import RunFiles
from hscl_fast.many_runs.pool import failed_lines, finished_line
from hscl_fast.many_runs.process import import_path, request_of
from hscl_fast.many_runs.time_left import TimeLeft, clock

_RETRIES = 5  # after a worker or its machine was lost
_POLL = 0.5  # seconds
_STOPPING = 120.0  # seconds in which the runs under way save what they have done


def run_on_ray(
    todo: Sequence[RunFiles],
    left: TimeLeft,
    *,
    address: str | None,
    jobs: int,
    gpus: float | None,
    finished: Callable[[RunFiles], None],
    say: Callable[[str], None],
) -> list[RunFiles]:
    """Run all as Ray tasks; return those that failed.

    A task whose worker is lost begins again on another one and continues from the run's last checkpoint.

    Parameters
    ----------
    todo, left, finished, say
        As :class:`hscl_fast.reproduce.run.Backend` says.
    address
        Of the cluster; None starts Ray on this machine for ``jobs`` tasks at a time.
    jobs
        See above; on a cluster its resources limit the number of tasks.
    gpus
        GPUs, or the share of one, that a task takes; None: one if there are any.

    Raises
    ------
    UsageError
        Ray is not installed, or there is no cluster at the address.
    Interrupted
        A signal asked to stop; the runs under way have saved what they have done.
    """
    # Ray's workers are nice by default, and on a busy machine they would get next to nothing.
    os.environ.setdefault("RAY_worker_niceness", "0")
    ray = _imported()
    try:
        ray.init(
            address=address,
            num_cpus=jobs if address is None else None,
            include_dashboard=False,
            log_to_driver=False,
            runtime_env={"env_vars": {"PYTHONPATH": import_path()}},
        )
    except (ConnectionError, ValueError, RuntimeError) as error:
        raise UsageError(
            f"--address is {address!r}, where no Ray cluster can be reached: {' '.join(str(error).split())}. Start one "
            "with `ray start --head`, and give the address that it prints."
        ) from error
    try:
        if gpus is None:
            gpus = 1.0 if ray.cluster_resources().get("GPU", 0) else 0.0
        threads = {files.run.config.runtime.threads or 1 for files in todo}
        # A task is a process of its own, so that nothing of one run is left to the next.
        task = ray.remote(
            num_cpus=1 if address is None else max(threads), num_gpus=gpus, max_retries=_RETRIES, max_calls=1
        )(train_entry)
        return _collect(ray, task, todo, left, finished, say)
    finally:
        ray.shutdown()


def train_entry(request: dict[str, Any], log: str) -> int:
    """Train or resume one run, in a worker; return the exit code that its process would have."""
    from hscl_fast.many_runs.one import answer
    from hscl_fast.reproduce.record import measured

    with (
        Path(log).open("a", encoding="utf-8", buffering=1) as output,
        contextlib.redirect_stdout(output),
        contextlib.redirect_stderr(output),
    ):
        return answer(request, measured)


def _collect(
    ray: Any,
    task: Any,
    todo: Sequence[RunFiles],
    left: TimeLeft,
    finished: Callable[[RunFiles], None],
    say: Callable[[str], None],
) -> list[RunFiles]:
    pending: dict[Any, RunFiles] = {}
    failed: list[RunFiles] = []
    for files in todo:
        files.figures_file.unlink(missing_ok=True)
        files.log.touch()
        pending[task.remote(request_of(files), str(files.log))] = files
    say(f"{len(todo)} tasks on Ray: {ray.cluster_resources().get('CPU', 0):g} CPUs")
    with StopRequest() as stop:
        while pending:
            done, _ = ray.wait([*pending], num_returns=1, timeout=_POLL)
            if stop.received:
                for reference in pending:
                    ray.cancel(reference, force=False)
                ray.wait([*pending], num_returns=len(pending), timeout=_STOPPING)
                raise Interrupted(stop.received)
            for reference in done:
                files = pending.pop(reference)
                number = f"[{len(todo) - len(pending)}/{len(todo)}]"
                ended = _ending(ray, reference)
                figures = files.figures()
                if ended is None and figures is not None:
                    left.add(files.run, figures["total_seconds"])
                    seconds = left.estimate([], [one.run for one in pending.values()], int(_at_a_time(ray)))
                    rest = "" if not pending or seconds is None else f"; about {clock(seconds)} left"
                    say(f"{number} {finished_line(files, figures)}{rest}")
                    finished(files)
                else:
                    failed.append(files)
                    say(f"{number} {failed_lines(files, ended or 'no figures')}")
    return failed


def _at_a_time(ray: Any) -> float:
    return max(1.0, float(ray.cluster_resources().get("CPU", 1)))


def _ending(ray: Any, reference: Any) -> str | None:
    """Return how a task has failed, in words; None if it has not."""
    try:
        code = ray.get(reference)
    except ray.exceptions.RayError as error:
        return " ".join(str(error).split())[-300:]
    return f"exit code {code}" if code else None


def _imported() -> Any:
    try:
        import ray
    except ImportError as error:
        raise UsageError(
            f"--backend ray needs Ray, which is not installed for {sys.executable}. Install the extra: `pip install "
            "'hscl-fast[ray]'`; or leave --backend ray out."
        ) from error
    return ray
