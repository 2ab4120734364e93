"""``hscl compare``: puts runs side by side."""

from __future__ import annotations

from jsonargparse import Namespace
from rich.console import Console

from hscl_fast.console import say
from hscl_fast.runs.compare_runs import compare_runs
from hscl_fast.runs.show_comparison import show_comparison


def run(options: Namespace, console: Console) -> int:
    """Print the comparison, and say where the page is."""
    show_comparison(compare_runs(options.RUN, options.out, overwrite=options.overwrite), console)
    if options.out is not None:
        say(console, f"page: {options.out}")
    return 0
