"""``hscl export``: writes a trained run as one file that scores images without hscl-fast."""

from __future__ import annotations

from jsonargparse import Namespace
from rich.console import Console

from hscl_fast.console import say, warn
from hscl_fast.counted import counted
from hscl_fast.data.given_images import GivenImages
from hscl_fast.export.export_run import Export, export_run
from hscl_fast.export.images import LARGEST_BATCH
from hscl_fast.export.parity import TOLERANCE, Parity, in_words


def run(options: Namespace, console: Console) -> int:
    """Export, and print how the file compares with the run."""
    done = export_run(
        options.RUN,
        options.out,
        evaluation=options.evaluation,
        images=GivenImages(options.images).images if options.images else None,
        root=options.root,
        overwrite=options.overwrite,
        console=console,
    )
    for line in _lines(done):
        say(console, line)
    if done.parity.undecided:
        warn(
            console,
            f"the exported model decides otherwise on {counted(done.parity.undecided, 'image')} whose score is the "
            "threshold itself, but for rounding",
        )
    return 0


def _lines(done: Export) -> list[str]:
    used, both = done.calibration, done.both
    compared = f"{done.parity.images} {done.part}"
    lines = [
        f"exported to {done.path}, {done.size / 1e6:.1f} MB, for {done.runtime}: score {used.scoring} of checkpoint "
        f"{used.checkpoint} at step {used.step}",
        "takes uint8 [batch, height, width, 3] of any size; returns anomaly_score (higher = more anomalous) and "
        "abnormal (above the threshold)",
        f"against the run in float32, on {compared} at their own sizes: scores differ by up to {in_words(done.parity)} "
        f"(allowed: {TOLERANCE:g}), {_decisions(done.parity)}",
    ]
    if done.recorded is not None:
        lines.append(
            f"against the run's scores.csv, with --runtime.precision {done.precision}: by up to "
            f"{in_words(done.recorded)}, {_decisions(done.recorded)}"
        )
    lines.append(
        f"images/s, median of {counted(both.batches, 'batch', 'batches')} of up to {LARGEST_BATCH} measured in turn, "
        f"{counted(done.threads, 'thread')}: {both.our_speed:,.1f} with "
        f"hscl-fast, {both.their_speed:,.1f} with {done.runtime}"
    )
    if done.our_memory is not None and done.their_memory is not None:
        lines.append(
            f"peak memory of a process that scores one batch: {done.our_memory / 1e6:,.0f} MB with hscl-fast, "
            f"{done.their_memory / 1e6:,.0f} MB with {done.runtime}"
        )
    return lines


def _decisions(parity: Parity) -> str:
    return f"{parity.flipped} of {counted(parity.images, 'decision')} differ"
