"""Writes the tables of docs/accuracy.md, and its plot, from the results alone."""

from __future__ import annotations

from pathlib import Path

from benchmarks.accuracy.plot import accuracy_svg
from benchmarks.accuracy.results import Results
from benchmarks.accuracy.sections import section
from benchmarks.markdown import replaced
from hscl_fast.atomic import write_bytes, write_text

PLOT = Path("images") / "accuracy.svg"
_PICTURE = f"![AUROC against the compute and against the time of a training]({PLOT})"


def updated_page(page: str, results: Results) -> str:
    """Return the text of docs/accuracy.md with the tables of all results."""
    tables = {name: [record for record in results["runs"] if record["table"] == name] for name in results["tables"]}
    sections = [
        section(results["tables"][name]["title"], results["tables"][name]["trials"], records)
        for name, records in tables.items()
        if records
    ]
    text = "\n\n".join([_PICTURE, *sections]) if sections else "No run has been recorded yet."
    return replaced(page, "accuracy", text, "make accuracy")


def write_page(path: Path, results: Results) -> None:
    """Write the tables into the page at ``path``, between its markers, and the plot beside it.

    A page that is not there yet begins with nothing but the markers.
    """
    begin = path.read_text(encoding="utf-8") if path.exists() else EMPTY
    path.parent.mkdir(parents=True, exist_ok=True)
    if results["runs"]:
        plot = path.parent / PLOT
        plot.parent.mkdir(exist_ok=True)
        write_bytes(plot, accuracy_svg(results))
    write_text(path, updated_page(begin, results))


EMPTY = "# Accuracy\n\n<!-- accuracy: written by make accuracy -->\n<!-- accuracy: end -->\n"
