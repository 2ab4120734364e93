"""``hscl predict``: scores image files with a trained run."""

from __future__ import annotations

import os
import sys
from typing import TextIO

from jsonargparse import Namespace
from rich.console import Console

from hscl_fast.cli.exit_codes import PARTLY_DONE, PIPE_CLOSED
from hscl_fast.console import PatientConsole, say, warn
from hscl_fast.counted import counted
from hscl_fast.errors import UsageError
from hscl_fast.runs.predict_run import Prediction, predict_run

_SHOWN = 5  # bad files on the console
_STANDARD_OUTPUT = "-"


def run(options: Namespace, console: Console) -> int:
    """Score the images, and print where the scores are and which files have none."""
    if not (options.out or options.report or options.save_images):
        raise UsageError(
            "`hscl predict` needs --out, the table to write (x.csv, x.json, or - for the standard output), --report, a "
            "page (x.html), or --save_images, a folder."
        )
    if options.format is not None and options.out is None:
        raise UsageError(f"--format is {options.format}, but there is no --out that would have it. Give --out as well.")
    to_pipe = options.out == _STANDARD_OUTPUT
    if to_pipe:
        console = PatientConsole(stderr=True)
    done = predict_run(
        options.RUN,
        options.PATH,
        None if to_pipe else options.out,
        device=options.device,
        evaluation=options.evaluation,
        exclude=(options.exclude,) if isinstance(options.exclude, str) else options.exclude,
        follow_links=options.follow_links,
        root=options.root,
        max_megapixels=options.max_megapixels,
        sort=options.sort,
        top=options.top,
        table=options.format,
        report=options.report,
        save_images=options.save_images,
        overwrite=options.overwrite,
        console=console,
    )
    if to_pipe and not _written(done.table, sys.stdout):
        return PIPE_CLOSED
    _show(done, options, console)
    return PARTLY_DONE if done.errors else 0


def _show(done: Prediction, options: Namespace, console: Console) -> None:
    used = done.calibration
    name = options.evaluation or "the run's own"
    say(
        console,
        f"evaluation {name}: score {used.scoring} of checkpoint {used.checkpoint} at step {used.step}, threshold "
        f"{used.threshold:.4g} (anomaly score), source: {used.threshold_source}",
    )
    if used.threshold_caution is not None:
        warn(console, used.threshold_caution)
    place = f": {options.out}" if options.out else ""
    say(
        console,
        f"{counted(done.images, 'image')} scored in {done.seconds:.1f} s, {done.abnormal} of them abnormal{place} "
        "(higher anomaly_score = more anomalous, above the threshold = abnormal)",
    )
    if options.report:
        say(console, f"page to look through: {options.report}")
    if options.save_images:
        say(console, f"images and heat maps, most anomalous first: {options.save_images}")
    if done.errors:
        shown = "; ".join(f"{path}: {reason}" for path, reason in done.errors[:_SHOWN])
        more = f"; and {len(done.errors) - _SHOWN:,} more" if len(done.errors) > _SHOWN else ""
        total = done.images + len(done.errors)
        warn(console, f"{len(done.errors):,} of {total:,} files have no score (see the column error): {shown}{more}")


def _written(table: str, output: TextIO) -> bool:
    """Write the whole table; return False if its reader has gone."""
    try:
        output.buffer.write(table.encode("utf-8"))
        output.flush()
    except OSError as error:
        os.dup2(os.open(os.devnull, os.O_WRONLY), output.fileno())  # else the interpreter's last flush fails
        if isinstance(error, BrokenPipeError):
            return False
        raise UsageError(
            f"--out {_STANDARD_OUTPUT}: the scores cannot be written to the standard output: "
            f"{error.strerror or error}. Free some space, or give a file."
        ) from error
    return True
