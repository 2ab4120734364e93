"""``hscl eval``: evaluates a trained run again, with another score or checkpoint, or on other test images."""

from __future__ import annotations

from jsonargparse import Namespace
from rich.console import Console

from hscl_fast.cli.show import show_summary
from hscl_fast.runs.evaluate_run import evaluate_run


def run(options: Namespace, console: Console) -> int:
    """Evaluate and print the results."""
    done = evaluate_run(
        options.RUN,
        data=options.data,
        out=options.out,
        name=options.name,
        scoring=options.scoring,
        checkpoint=options.checkpoint,
        device=options.device,
        root=options.root,
        threshold=options.threshold,
        max_false_alarms=options.max_false_alarms,
        contamination=options.contamination,
        overwrite=options.overwrite,
        console=console,
    )
    show_summary(done, console)
    return 0
