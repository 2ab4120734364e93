"""Shows what runs cost before they begin."""

from __future__ import annotations

from collections.abc import Sequence

from rich.console import Console
from rich.table import Column, Table

from hscl_fast.console import say, warn
from hscl_fast.counted import counted
from hscl_fast.reproduce.cost import Cost
from hscl_fast.reproduce.plan import Plan


def show_cost(costs: Sequence[Cost], plans: Sequence[Plan], console: Console) -> None:
    """Print a row for each method and data set, the sum, and which cells will stay empty."""
    heads = ("done", "steps left", "views left", "s per step", "time left")
    table = Table(Column("method", no_wrap=True), Column("data", overflow="fold"), *heads)
    for cost in costs:
        table.add_row(
            cost.method,
            cost.data,
            f"{cost.done:,} of {cost.runs:,}",
            f"{cost.steps:,}",
            f"{cost.views:,}",
            " to ".join(f"{seconds:.3g}" for seconds in sorted({*cost.per_step[:1], *cost.per_step[-1:]})),
            "unknown" if cost.seconds is None else shown_time(cost.seconds),
        )
    if costs:
        console.print(table)
    runs, done = sum(cost.runs for cost in costs), sum(cost.done for cost in costs)
    known = sum(cost.seconds for cost in costs if cost.seconds is not None)
    rest = " and what is unknown" if any(cost.seconds is None for cost in costs) else ""
    say(
        console,
        f"{counted(runs, 'run')}, {done:,} done before; training that is left: {shown_time(known)}{rest}, one run "
        "after the other on this machine, as measured on a few steps; scoring comes on top",
    )
    for reason in dict.fromkeys(cell.missing for plan in plans for cell in plan.cells if cell.missing):
        warn(console, f"cells stay empty: {reason}")


def shown_time(seconds: float) -> str:
    """Return seconds as a time that is easily read.

    >>> shown_time(40), shown_time(5400), shown_time(200000)
    ('40 s', '1.5 h', '2.3 days')
    """
    for unit, name in ((86400.0, "days"), (3600.0, "h"), (60.0, "min")):
        if seconds >= unit:
            return f"{seconds / unit:.1f} {name}"
    return f"{seconds:.0f} s"
