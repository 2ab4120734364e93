"""Prints a comparison of runs."""

from __future__ import annotations

from collections.abc import Sequence

from rich.console import Console
from rich.table import Column, Table
from rich.text import Text

from hscl_fast.console import warn
from hscl_fast.evaluation.comparison import EvaluatedRun, different_options, is_same_test, lead_over
from hscl_fast.evaluation.report.rendering import duration, percent


def show_comparison(runs: Sequence[EvaluatedRun], console: Console) -> None:
    """Print one table of the figures and one of the options that differ."""
    same = is_same_test(runs)
    console.print(_figures(runs, same=same))
    different = different_options(runs)
    if different:
        table = Table("option", *(Column(Text(run.name)) for run in runs))
        for option, values in different:
            table.add_row(f"--{option}", *(Text(str(value)) for value in values))
        console.print(table)
    if not same:
        warn(console, "the runs were tested on different images, so their figures do not show which run is better")


def _figures(runs: Sequence[EvaluatedRun], *, same: bool) -> Table:
    columns = (
        "score",
        "AUROC",
        "95 % interval",
        "points over the first",
        "recall",
        "false alarms",
        "steps",
        "training",
    )
    table = Table("run", *columns)
    for each in runs:
        summary = each.summary
        lead = lead_over(each, runs[0]) if same and each is not runs[0] else None
        table.add_row(
            Text(each.name),
            summary.scoring,
            percent(summary.auroc),
            "-" if summary.auroc_interval is None else " to ".join(percent(end) for end in summary.auroc_interval),
            "-" if lead is None else f"{lead[0]:+.1f} ({lead[1]:+.1f} to {lead[2]:+.1f})",
            percent(summary.decisions.recall_abnormal),
            percent(summary.decisions.false_alarm_rate),
            f"{summary.step:,}",
            duration(summary.train_seconds),
        )
    return table
