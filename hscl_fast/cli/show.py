"""Prints the results of a run."""

from __future__ import annotations

import shlex

from rich.console import Console
from rich.table import Table

from hscl_fast.console import say, warn
from hscl_fast.counted import counted
from hscl_fast.evaluation.summary import Summary
from hscl_fast.evaluation.suspects import SuspectFigures
from hscl_fast.runs.run import Run


def show_summary(run: Run, console: Console) -> None:
    """Print the AUROC beside that of simple detectors, who is best, and the paths of the report and the run."""
    summary = run.summary
    assert summary is not None
    table = Table("detector", "on", "AUROC", "AUROC, mean over anomaly classes", "seconds")
    for entry in summary.standings:
        result = entry.result
        figures = (_percent(result.auroc), _percent(result.auroc_mean), _seconds(result.seconds))
        table.add_row(entry.title, entry.on or "images", *figures)
    console.print(table)
    missing: dict[str, list[str]] = {}
    for entry in summary.standings:
        if entry.result.auroc is None and not entry.is_ours:
            missing.setdefault(entry.result.note, []).append(entry.full_title)
    for note, titles in missing.items():
        say(console, f"{', '.join(titles)}. {note}")
    if summary.verdict is not None:
        say(console, summary.verdict)
    say(
        console,
        f"AUROC {_percent(summary.auroc)} on {summary.counts.test_normal:,} normal and "
        f"{summary.counts.test_abnormal:,} abnormal test images"
        f"{_rate(summary.score_images_per_second)}",
    )
    show_threshold(summary, console)
    if summary.is_chance:
        warn(console, summary.advice)
    results = run.results or run.directory
    say(console, f"report: {results.report}")
    if summary.suspects is not None:
        say(console, f"suspects among {_ranked(summary.suspects)}: {results.suspects_page}")
    if results.path != run.path and results.path.parent != run.directory.evaluations:
        return  # other test images: what `hscl predict` says has not changed
    named = "" if results.path == run.path else f" --evaluation {results.path.name}"
    path = shlex.quote(str(run.path))
    say(console, f"next:   hscl predict {path} IMAGES...{named} --out scores.csv")
    if not named and summary.suspects is not None:
        say(console, f"        hscl review {path}, to label the unlabelled images that may be anomalies")


def _ranked(suspects: SuspectFigures) -> str:
    images = counted(suspects.unlabelled, "unlabelled image")
    if suspects.precision_at_hidden is None:
        return images
    first, random = (f"{100 * share:.0f} %" for share in (suspects.precision_at_hidden, suspects.random or 0.0))
    return (
        f"{images} (of the first {suspects.hidden_anomalies:,} {first} are hidden anomalies, in random order {random})"
    )


def show_threshold(summary: Summary, console: Console) -> None:
    """Print the threshold with its interval, what it does on the test images, and why to be careful with it."""
    ends = summary.threshold_interval
    between = "" if ends is None else f" (95 % interval {ends[0]:.4g} to {ends[1]:.4g})"
    decisions = summary.decisions
    shares = [
        f"{name} {_percent(share)} ({100 * within[0]:.1f} to {100 * within[1]:.1f})"
        for name, share, within in (
            ("recall", decisions.recall_abnormal, summary.recall_interval),
            ("false alarms", decisions.false_alarm_rate, summary.false_alarm_interval),
        )
        if within is not None
    ]
    tested = f": {', '.join(shares)}" if shares else ""
    say(console, f"threshold {summary.threshold:.4g}{between}, source: {summary.threshold_source}{tested}")
    say(console, "scores are anomaly scores: higher = more anomalous, above the threshold = abnormal")
    if summary.threshold_caution is not None:
        warn(console, summary.threshold_caution)


def _rate(images_per_second: float | None) -> str:
    return "" if images_per_second is None else f", scored at {images_per_second:,.0f} images/s"


def _percent(value: float | None) -> str:
    return "-" if value is None else f"{100 * value:.1f} %"


def _seconds(value: float | None) -> str:
    return "-" if value is None else f"{value:.1f}"
