"""``hscl data list``: shows the public data sets and whether they are on this machine."""

from __future__ import annotations

from jsonargparse import Namespace
from rich.console import Console
from rich.table import Table

from hscl_fast.data.named.registry import describe_sources


def run(options: Namespace, console: Console) -> int:
    """Print one row per data set."""
    table = Table("name", "training", "test", "pixels", "classes", "found", "searched")
    for source in describe_sources(options.root):
        table.add_row(
            source.name,
            f"{source.train:,}",
            f"{source.test:,}",
            f"{source.size}x{source.size}",
            str(source.classes),
            "yes" if source.present else "no",
            "\n".join(source.looked_for) or "(comes with scikit-learn)",
        )
    console.print(table)
    return 0
