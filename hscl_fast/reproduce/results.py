"""What the finished runs of a plan say: the figures of every cell, and what they were made with."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hscl_fast.counted import counted
from hscl_fast.many_runs.files import RunFiles
from hscl_fast.many_runs.means import Mean, mean_of
from hscl_fast.reproduce.plan import Cell, EntryRun, Plan

Figures = dict[str, Any]  # of a run: see hscl_fast.reproduce.record


@dataclass(frozen=True)
class CellResult:
    """The figures of a cell.

    Attributes
    ----------
    cell
        The cell.
    found
        The mean of its finished runs in percent, with its interval; None if there is none.
    pooled
        The mean of their pooled AUROCs in percent.
    paper
        The paper's figure; None if it has none.
    """

    cell: Cell
    found: Mean | None
    pooled: float | None
    paper: float | None

    @property
    def is_short(self) -> bool:
        """Whether fewer runs have finished than the paper's figure is the mean of."""
        return self.found is not None and self.found.n < self.cell.wanted


def read_figures(plan: Plan) -> dict[str, Figures]:
    """Return the figures of the finished runs of a plan, by folder."""
    runs = plan.request.runs.absolute()
    every = {run.folder: RunFiles(run, runs).figures() for run in plan.runs}
    return {folder: figures for folder, figures in every.items() if figures is not None}


def results_of(plan: Plan, figures: dict[str, Figures]) -> list[CellResult]:
    """Return the figures of all cells."""
    results = []
    for cell in plan.cells:
        done = [figures[run.folder] for run in cell.runs if run.folder in figures]
        values = [value for one in done if (value := _auroc(one, cell.column.test)) is not None]
        pooled = [one["auroc"] for one in done if one["auroc"] is not None]
        results.append(
            CellResult(
                cell,
                mean_of([100 * value for value in values]) if values else None,
                100 * sum(pooled) / len(pooled) if pooled else None,
                cell.row.paper.get(cell.column.key),
            )
        )
    return results


def _auroc(figures: Figures, test: str | None) -> float | None:
    """Return the AUROC against one anomaly class; for None the mean over all, or the pooled one if there is none."""
    if test is not None:
        value: float | None = figures["auroc_per_class"].get(test)
        return value
    return figures["auroc"] if figures["auroc_mean"] is None else figures["auroc_mean"]


def made_with(plan: Plan, figures: dict[str, Figures]) -> list[str]:
    """Return sentences on the network, the machines and the versions behind a plan's finished runs."""
    done = [(run, figures[run.folder]) for run in plan.runs if run.folder in figures]
    if not done:
        return ["No run has finished."]
    networks = _list(_network(run, one) for run, one in done)
    steps = sorted({one["steps"] for _, one in done})
    machines = _list(
        f"{', '.join(one['devices']) or one['cpu']}, {counted(one['threads'], 'thread')}" for _, one in done
    )
    versions = _list(f"hscl-fast {one['hscl_fast']}, torch {one['torch']}" for _, one in done)
    commits = _list((one["commit"] or "unknown")[:9] for _, one in done)
    dates = sorted({one["date"] for _, one in done})
    when = dates[0] if len(dates) == 1 else f"{dates[0]} to {dates[-1]}"
    shown = f"{steps[0]:,}" if len(steps) == 1 else f"{steps[0]:,} to {steps[-1]:,}"
    return [
        f"Network of HSCL and of the methods that share it: {networks}; {shown} steps.",
        f"{counted(len(done), 'run')} on {machines}; {versions}; commit {commits}; {when}.",
    ]


def _network(run: EntryRun, figures: Figures) -> str:
    model, optim = run.config.model, run.config.optim
    width = f" of width {model.width}" if model.encoder.startswith("resnet") else ""
    return f"{model.encoder}{width}, {figures['image_size']} px, batches of {optim.batch_size}"


def _list(words: Sequence[str] | Any) -> str:
    return " and ".join(sorted(set(words)))


def output_folder(plan: Plan) -> Path:
    """Return the folder in which the results of a plan are written."""
    return plan.request.out / plan.scenario.name
