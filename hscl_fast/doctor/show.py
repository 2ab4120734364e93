"""Prints the doctor's results as tables: in colour on a terminal, as plain aligned text elsewhere."""

from __future__ import annotations

import io
from typing import Any

from hscl_kernels.backends import INTERPRETED
from hscl_kernels.selfcheck import Finding, Value
from rich.console import Console
from rich.table import Table
from rich.text import Text

from hscl_fast.console import say
from hscl_fast.counted import counted
from hscl_fast.doctor.estimate import Estimate
from hscl_fast.doctor.outcome import Outcome

_PLAIN_WIDTH = 240
_STYLES = {"pass": "green", "warning": "yellow", "not here": "dim", "FAIL": "bold red"}
_MIB, _GIB = 1 << 20, 1 << 30


def show_versions(console: Console, versions: dict[str, str | None]) -> None:
    """Print one row per package."""
    _print(console, "versions", [], [[name, value or "-"] for name, value in versions.items()])
    say(console, "")


def show_devices(console: Console, cpu: dict[str, Any], cards: list[dict[str, Any]]) -> None:
    """Print the CPU and the GPUs."""
    half = "computes in bfloat16" if cpu["bfloat16"] else "no bfloat16 instructions"
    rows = [
        ["cpu", f"{counted(cpu['cores'], 'core')}, {counted(cpu['threads'], 'thread')}, {cpu['instructions']}, {half}"],
        ["", f"{cpu['free'] / _GIB:.1f} GiB free; precision auto is {cpu['precision']}"],
        ["", _objective_on_the_cpu(cpu["no_native_objective"])],
    ]
    for card in cards:
        name = f"cuda:{card['index']}"
        if "error" in card:
            rows.append([name, f"does not answer: {card['error']}"])
            continue
        near = "lists it" if card["known"] else f"does not list it, so those of {card['target']} are used"
        tuned = f"{card['tuned']} tuned tiles" if card["tuned"] else "none tuned (run python -m hscl_kernels.tune)"
        rows += [
            [name, f"{card['name']}, {card['capability']}; precision auto is {card['precision']}"],
            ["", f"{card['free'] / _GIB:.1f} of {card['total'] / _GIB:.1f} GiB free"],
            ["", f"the kernels' table of tiles {near}; {tuned}"],
        ]
    if not cards:
        rows.append(["gpu", "torch finds none"])
    _print(console, "devices", [], rows)
    say(console, "")


def _objective_on_the_cpu(why_not: str | None) -> str:
    return "objective in C++" if why_not is None else f"objective in Python, which is slower; in C++ {why_not}"


def show_kernels(console: Console, device: str, findings: list[Finding], missing: dict[str, str]) -> None:
    """Print one row per form, then the problems of the forms that failed."""
    title = f"kernels on {device} (relative errors against float64, and the errors allowed)"
    head = ["operation", "backend", "dtype", "outputs", "gradients", "eager's", "ms", "eager ms", "result"]
    rows: list[list[str]] = []
    for finding in findings:
        outputs, gradients = finding.worst(gradients=False), finding.worst(gradients=True)
        nearest = max(finding.values, key=lambda value: value.share, default=None)
        rows.append(
            [
                *(finding.operation, finding.backend, finding.dtype, _against(outputs), _against(gradients)),
                "-" if nearest is None else f"{nearest.eager:.0e}",
                _number(finding.milliseconds),
                _number(finding.reference_milliseconds),
                "pass" if finding.passed else "FAIL",
            ]
        )
    rows += [["all", backend, "", "", "", "", "", "", "not here"] for backend in missing]
    _print(console, title, head, rows)
    say(console, "ms: forward and backward on a training step's batch, 2,048 rows of 128 features or views of 32 px.")
    if any(finding.backend == "triton" for finding in findings) and INTERPRETED:
        say(console, "triton: in its interpreter, on small cases; checks its arithmetic, not the compiled kernels.")
    for backend, reason in missing.items():
        say(console, f"{backend} cannot run here: {reason}")
    for finding in findings:
        for problem in finding.problems:
            console.print(f"FAIL {finding.name}: {problem}", style="red", markup=False, highlight=False, soft_wrap=True)
    say(console, "")


def show_outcomes(console: Console, title: str, outcomes: list[Outcome]) -> None:
    """Print one row per check, then how to fix those that did not pass."""
    rows = [[some.name, some.status, some.detail] for some in outcomes]
    _print(console, title, [], rows)
    for some in outcomes:
        if some.fix and some.status != "pass":
            say(console, f"{some.name}: {some.fix}")
    say(console, "")


def show_estimate(console: Console, found: Estimate) -> None:
    """Print the estimated cost of a training step and of the whole run."""
    timed = f"measured on {counted(found.steps_measured, 'step')}"
    memory = "not known on this system" if found.extra_bytes is None else f"{found.extra_bytes / _MIB:,.0f} MiB"
    images, rows_of = counted(found.batch_size, "image"), counted(found.rows, "row")
    if found.seconds_per_view is None:
        step = f"{images}, {rows_of} of {found.image_size} px"
        took = f"{found.seconds_per_step:.3g} s ({found.rows / found.seconds_per_step:,.0f} views/s), {timed}"
    else:
        step, took = f"{images}, {rows_of} of cached features", f"{found.seconds_per_step:.3g} s, {timed}"
    rows = [
        ["for", found.data],
        ["network", f"{found.encoder}, {found.parameters / 1e6:.2f} M parameters, {found.precision}"],
        ["per step", step],
        ["time per step", took],
        ["extra memory", f"{memory} at the peak for weights, optimizer and activations; the data set is not included"],
    ]
    if found.seconds_per_view is not None:
        once = "" if found.encoded_views is None else f"{found.encoded_views:,} of {found.image_size} px, once: "
        whole = "" if found.encoded_views is None else _duration(found.encoded_views * found.seconds_per_view) + ", "
        rows.append(["encoded views", f"{once}{whole}{found.seconds_per_view:.3g} s per view"])
    if found.total_steps is not None and found.total_seconds is not None:
        bound = "" if found.training_images is not None else " (--optim.max_steps; fewer if the epochs end sooner)"
        first = "" if found.encoded_views is None else "the encoded views and "
        steps = f"{first}{counted(found.total_steps, 'step')}{bound}"
        rows.append(["training", f"{_duration(found.total_seconds)} for {steps}"])
    else:
        rows.append(["training", "its length depends on the number of images, which is not known here"])
    if found.loader is not None:
        rows.append(["loader", found.loader])
    _print(console, "estimate", [], rows)
    say(console, "")


def _print(console: Console, title: str, head: list[str], rows: list[list[str]]) -> None:
    """Print a table under a title; an empty ``head`` makes columns without names."""
    table = Table(box=None, show_header=bool(head), pad_edge=False)
    for name in head or [""] * len(rows[0]):
        table.add_column(name, overflow="fold")
    for row in rows:
        table.add_row(*(Text(cell, style=_STYLES.get(cell, "")) for cell in row))
    console.print(Text(title, style="bold"))
    if console.is_terminal:
        console.print(table)
        return
    text = io.StringIO()
    Console(file=text, width=_PLAIN_WIDTH).print(table)  # a pipe or a file has no width to fit
    for line in text.getvalue().splitlines():
        say(console, line.rstrip())


def _against(value: Value | None) -> str:
    return "-" if value is None else f"{value.error:.1e} of {value.allowed:.1e}"


def _number(value: float | None) -> str:
    return "-" if value is None else f"{value:.3g}" if value < 100 else f"{value:,.0f}"


def _duration(seconds: float) -> str:
    if seconds < 120:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 7200 else f"{seconds / 3600:.1f} h"
