"""Prints the results of a run."""

from __future__ import annotations

import shlex

from rich.console import Console
from rich.table import Table

from hscl_fast.console import say, warn
from hscl_fast.runs.run import Run


def show_summary(run: Run, console: Console) -> None:
    """Print the AUROC beside that of scikit-learn's detectors, and the paths of the report and the run."""
    summary = run.summary
    assert summary is not None
    table = Table("detector", "AUROC", "AUROC, mean over anomaly classes", "seconds")
    table.add_row("hscl-fast", _percent(summary.auroc), _percent(summary.auroc_mean), _seconds(summary.train_seconds))
    for name, row in summary.baselines.items():
        table.add_row(name, _percent(row.auroc), _percent(row.auroc_mean), _seconds(row.seconds))
    console.print(table)
    for note in {row.note for row in summary.baselines.values() if row.auroc is None}:
        say(console, f"scikit-learn's detectors. {note}")
    say(
        console,
        f"AUROC {_percent(summary.auroc)} on {summary.counts.test_normal:,} normal and "
        f"{summary.counts.test_abnormal:,} abnormal test images (scores: higher = more normal)"
        f"{_rate(summary.score_images_per_second)}",
    )
    if summary.is_chance:
        warn(console, summary.advice)
    results = run.results or run.directory
    say(console, f"report: {results.report}")
    if results.path != run.path and results.path.parent != run.directory.evaluations:
        return  # other test images: what `hscl predict` says has not changed
    named = "" if results.path == run.path else f" --evaluation {results.path.name}"
    say(console, f"next:   hscl predict {shlex.quote(str(run.path))} IMAGES...{named} --out scores.csv")


def _rate(images_per_second: float | None) -> str:
    return "" if images_per_second is None else f", scored at {images_per_second:,.0f} images/s"


def _percent(value: float | None) -> str:
    return "-" if value is None else f"{100 * value:.1f} %"


def _seconds(value: float | None) -> str:
    return "-" if value is None else f"{value:.1f}"
