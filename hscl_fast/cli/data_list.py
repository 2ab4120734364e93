"""``hscl data list``: shows the public data sets and whether they are on this machine."""

from __future__ import annotations

from jsonargparse import Namespace
from rich.console import Console
from rich.table import Table

from hscl_fast.console import say
from hscl_fast.data.named.registry import describe_sources


def run(options: Namespace, console: Console) -> int:
    """Print one row per data set, then every path that was searched on a line of its own, which no table cuts."""
    sources = describe_sources(options.root)
    table = Table("name", "training", "test", "pixels", "classes", "found")
    for source in sources:
        table.add_row(
            source.name,
            f"{source.train:,}",
            f"{source.test:,}",
            f"{source.size}x{source.size}",
            str(source.classes),
            "yes" if source.present else "no",
        )
    console.print(table)
    say(console, "searched:")
    width = max(len(source.name) for source in sources)
    for source in sources:
        for path in source.looked_for or ("(comes with scikit-learn)",):
            say(console, f"  {source.name:<{width}}  {path}")
    return 0
