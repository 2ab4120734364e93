"""``benchmarks/results/accuracy.json``: the tables and one record per run."""

from __future__ import annotations

import fcntl
import json
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from benchmarks.accuracy.plan import PlannedRun
from benchmarks.accuracy.trials import Table
from hscl_fast.atomic import write_json

Record = dict[str, Any]  # of a run: its place in the table and its figures
Results = dict[str, Any]  # ``tables``: titles and trials in order, by name; ``runs``: records

# Two records with equal values of these are of the same run; the newer one replaces the older.
IDENTITY = (
    *("table", "trial", "data", "normal_class", "seed"),
    *("labelled_ratio", "pollution_ratio", "protocol"),
)


def record_of(run: PlannedRun, figures: dict[str, Any]) -> Record:
    """Return the record of a finished run."""
    place = ("table", "trial", "recipe", "data", "normal_class", "seed", "key")
    return {**{name: getattr(run, name) for name in place}, "change": dict(run.change), **figures}


def read_results(path: Path) -> Results:
    """Return the results in a file; none if it is not there."""
    try:
        results: Results = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return {"tables": {}, "runs": []}
    return results


def merged(results: Results, name: str, table: Table, planned: Sequence[PlannedRun], records: list[Record]) -> Results:
    """Return results with the records of a table.

    Older ones of the table are left out where it no longer plans a run of this trial with this configuration.

    Parameters
    ----------
    results
        The results so far.
    name, table
        The table.
    planned
        All its runs.
    records
        The new records.
    """
    trials = [trial.name for trial in table.trials]
    tables = {**results["tables"], name: {"title": table.title, "trials": trials}}
    current = {(run.trial, run.key) for run in planned}
    old = [one for one in results["runs"] if one["table"] != name or (one["trial"], one["key"]) in current]
    by_run = {_identity(record): record for record in [*old, *records]}
    return {"tables": tables, "runs": sorted(by_run.values(), key=lambda record: str(_identity(record)))}


def merge_into(path: Path, name: str, table: Table, planned: Sequence[PlannedRun], records: list[Record]) -> Results:
    """Merge records into the file of results, which other processes may be doing too; return all results."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with _alone(path.parent):
        results = merged(read_results(path), name, table, planned, records)
        write_json(path, results)
    return results


def _identity(record: Record) -> tuple[Any, ...]:
    return tuple(record[name] for name in IDENTITY)


@contextmanager
def _alone(folder: Path) -> Iterator[None]:
    """Wait until no other process is in here for the same folder."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)
