"""``hscl threshold``: shows the decision threshold of a run, or changes it without scoring again."""

from __future__ import annotations

from jsonargparse import Namespace
from rich.console import Console

from hscl_fast.cli.show import show_threshold
from hscl_fast.console import say
from hscl_fast.runs.set_threshold import set_threshold


def run(options: Namespace, console: Console) -> int:
    """Change the threshold if an option asks for it, and print it with what it does on the test images."""
    changed = options.best or options.threshold is not None or options.max_false_alarms is not None
    done = set_threshold(
        options.RUN,
        threshold=options.threshold,
        max_false_alarms=options.max_false_alarms,
        contamination=options.contamination,
        best=options.best,
        evaluation=options.evaluation,
        root=options.root,
        console=console,
    )
    assert done.summary is not None
    show_threshold(done.summary, console)
    if changed:
        results = done.results or done.directory
        say(console, f"written: {results.summary}, scores.csv, {results.report.name} and the calibration of predict")
    return 0
