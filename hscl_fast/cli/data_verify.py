"""``hscl data verify``: reads a whole data set and prints its counts and a checksum."""

from __future__ import annotations

from jsonargparse import Namespace
from rich.console import Console
from rich.table import Table

from hscl_fast.config.sections import VERIFIED, DataConfig
from hscl_fast.console import say
from hscl_fast.data.verify import verify_source
from hscl_fast.runs.show import show_duplicates, show_remarks


def run(options: Namespace, console: Console) -> int:
    """Print the number of images of each class, and a checksum."""
    given = {name: options[name] for name in ("root", "exclude", "follow_links", *VERIFIED)}
    found = verify_source(DataConfig(name=options.DATA, **given))
    table = Table("class", "training images", "test images", title=found.name)
    for name in found.train_counts:
        table.add_row(name, f"{found.train_counts[name]:,}", f"{found.test_counts.get(name, 0):,}")
    console.print(table)
    doubtful = any(remark.doubt for remark in found.remarks)
    result = "was read, but see the warnings" if doubtful else "is intact"
    say(console, f"{found.name} {result}: train {list(found.train_shape)}, test {list(found.test_shape)}, uint8")
    show_remarks(found.remarks, console, own=tuple(given))
    show_duplicates(found.duplicates, console)
    say(console, f"sha256 of pixels and classes: {found.sha256}")
    return 0
