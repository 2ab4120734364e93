"""``hscl suspects``: prints the most suspicious unlabelled images of a run, and draws them."""

from __future__ import annotations

import shlex

from jsonargparse import Namespace
from rich.console import Console
from rich.table import Table
from rich.text import Text

from hscl_fast.console import say
from hscl_fast.counted import counted
from hscl_fast.csv_text import escaped
from hscl_fast.evaluation.suspects import Suspect, Suspects
from hscl_fast.runs.suspects_page import suspects_of_run


def run(options: Namespace, console: Console) -> int:
    """Print the first images of the ranking, and the paths of the table and the page."""
    directory, suspects = suspects_of_run(options.RUN, top=options.top, root=options.root, console=console)
    shown = suspects.images[: options.top]
    console.print(_table(shown))
    say(console, f"ranked by {suspects.ranking}; a higher suspicion = likelier a hidden anomaly")
    if found := _found(suspects, len(shown)):
        say(console, found)
    say(console, f"all {counted(len(suspects.images), 'image')}: {directory.suspects}")
    say(console, f"pictures: {directory.suspects_page}")
    say(console, f"next:   hscl review {shlex.quote(str(directory.path))}")
    return 0


def _table(shown: tuple[Suspect, ...]) -> Table:
    table = Table("rank")
    table.add_column("suspicion", justify="right")
    table.add_column("anomaly score", justify="right")
    known = bool(shown) and shown[0].hidden_anomaly is not None
    if known:
        table.add_column("hidden anomaly")
    table.add_column("image", overflow="fold")
    for image in shown:
        truth = ["yes" if image.hidden_anomaly else ""] if known else []
        figures = (f"{image.suspicion:.4g}", f"{image.anomaly_score:.4g}")
        table.add_row(f"{image.rank}", *figures, *truth, Text(_on_one_line(image.path)))
    return table


def _on_one_line(name: str) -> str:
    """Return a file name without what would move the cursor or break the line."""
    return "".join(letter if letter.isprintable() else repr(letter)[1:-1] for letter in escaped(name))


def _found(suspects: Suspects, shown: int) -> str | None:
    """Return how good the ranking is, where the truth is known and there is something to find."""
    figures = suspects.figures
    if figures.hidden_anomalies is None or figures.random is None:
        return None
    found = sum(bool(image.hidden_anomaly) for image in suspects.images[:shown])
    return (
        f"{found:,} of {counted(figures.hidden_anomalies, 'hidden anomaly', 'hidden anomalies')} are among these; in "
        f"random order it would be {figures.random * shown:.1f} on average"
    )
