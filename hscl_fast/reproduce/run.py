"""Runs what a scenario still lacks, after its cost has been shown, and writes its tables and figures."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Protocol

from hscl_fast.atomic import write_bytes, write_text
from hscl_fast.many_runs.files import RunFiles
from hscl_fast.many_runs.time_left import TimeLeft
from hscl_fast.reproduce.plan import EntryRun, Plan
from hscl_fast.reproduce.results import output_folder, read_figures
from hscl_fast.reproduce.tables import csv_text, html, make_table, markdown


class Backend(Protocol):
    """Where the runs are made."""

    def __call__(
        self,
        todo: Sequence[RunFiles],
        left: TimeLeft,
        *,
        finished: Callable[[RunFiles], None],
        say: Callable[[str], None],
    ) -> list[RunFiles]:
        """Make all runs and return those that failed; ``finished`` is called after each of the others."""


def files_of(plans: Sequence[Plan]) -> list[RunFiles]:
    """Return the different runs of some plans, which share a folder."""
    found: dict[str, RunFiles] = {}
    for plan in plans:
        for run in plan.runs:
            found.setdefault(run.folder, RunFiles(run, plan.request.runs.absolute()))
    return [*found.values()]


def entries_with_state(files: Sequence[RunFiles]) -> list[tuple[EntryRun, bool]]:
    """Return the runs, each with whether it has finished."""
    return [(one.run, one.figures() is not None) for one in files if isinstance(one.run, EntryRun)]


def run_plans(plans: Sequence[Plan], backend: Backend, say: Callable[[str], None]) -> list[RunFiles]:
    """Make the runs that are missing, write the results of each plan, and return the runs that failed.

    The results are written after every run that belongs to them, so that they are there whenever this is stopped.

    Raises
    ------
    Interrupted
        A signal asked to stop; the runs under way have saved what they have done.
    """
    files, left = files_of(plans), TimeLeft()
    todo = []
    for one in files:
        figures = one.figures()
        if figures is None:
            todo.append(one)
        else:
            left.add(one.run, figures["total_seconds"])
    if files:
        files[0].runs.mkdir(parents=True, exist_ok=True)

    def finished(done: RunFiles) -> None:
        for plan in plans:
            if any(run.folder == done.run.folder for run in plan.runs):
                write_table(plan)

    failed = backend(todo, left, finished=finished, say=say) if todo else []
    for plan in plans:
        write_table(plan, _figures_of(plan))
    return failed


def _figures_of(plan: Plan) -> list[str]:
    """Draw the figures of a plan, if it is one of a figure; return the names of their files."""
    if plan.scenario.kind == "table":
        return []
    from hscl_fast.reproduce.figures import draw_figures  # here, because matplotlib takes a second to import

    return draw_figures(plan, read_figures(plan))


def write_table(plan: Plan, pictures: Sequence[str] = ()) -> None:
    """Write ``table.md``, ``table.csv`` and ``table.html`` of a plan from the runs that have finished."""
    table, folder = make_table(plan, read_figures(plan)), output_folder(plan)
    folder.mkdir(parents=True, exist_ok=True)
    write_text(folder / "table.md", markdown(table))
    write_text(folder / "table.csv", csv_text(table, plan))
    write_bytes(folder / "table.html", html(table, pictures))
