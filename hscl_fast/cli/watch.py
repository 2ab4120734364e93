"""``hscl watch``: scores the images that arrive in a folder until it is told to stop."""

from __future__ import annotations

import re
import signal
from collections.abc import Sequence

from jsonargparse import Namespace
from rich.console import Console

from hscl_fast.console import say, warn
from hscl_fast.counted import counted
from hscl_fast.interrupt import StopRequest
from hscl_fast.runs.calibration import Calibration
from hscl_fast.runs.watch_run import WatchedRow, watch_run

_ENDS_WELL = (signal.SIGINT, signal.SIGTERM)


def run(options: Namespace, console: Console) -> int:
    """Watch the folder; Ctrl-C and SIGTERM are how it is meant to end."""

    def started(calibration: Calibration, rows: int) -> None:
        there = f", which has {counted(rows, 'row')}" if rows else ""
        say(
            console,
            f"watching {options.FOLDER} with score {calibration.scoring}; rows go to {options.out}{there}. "
            "Stop with Ctrl-C",
        )

    def show(rows: Sequence[WatchedRow]) -> None:
        for row in rows:
            if row.anomaly_score is None:
                warn(console, f"{_shown(row.path)} has no score: {_shown(row.error)}")
            elif row.abnormal:
                say(console, f"abnormal: {_shown(row.path)}, anomaly score {row.anomaly_score:.4g}")

    with StopRequest() as stop:
        done = watch_run(
            options.RUN,
            options.FOLDER,
            options.out,
            stopped=lambda: stop.received is not None,
            device=options.device,
            evaluation=options.evaluation,
            exclude=(options.exclude,) if isinstance(options.exclude, str) else options.exclude,
            follow_links=options.follow_links,
            max_megapixels=options.max_megapixels,
            on_start=started,
            on_rows=show,
            console=console,
        )
    say(console, f"stopped after {counted(done.rows, 'new row')}, {done.errors} of them without a score: {options.out}")
    assert stop.received is not None
    return 0 if stop.received in _ENDS_WELL else 128 + stop.received


def _shown(text: str) -> str:
    """Return text in which control characters cannot reach the terminal."""
    return re.sub(r"[\x00-\x1f\x7f-\x9f]", lambda letter: repr(letter[0])[1:-1], text)
