"""Writes the tables of docs/benchmarks.md from the results: ``python -m benchmarks.docs_page RESULTS PAGE``."""

from __future__ import annotations

import json
import sys
from pathlib import Path

from benchmarks import ablation_table, loader_table, objective_table, roofline_table, step_table, view_table

SUITES = {
    "objective": objective_table.section,
    "views": view_table.section,
    "loaders": loader_table.section,
    "training_step": step_table.section,
    "ablation": ablation_table.section,
    "roofline": roofline_table.section,
}


def write(page: Path, suite: str, text: str) -> None:
    """Put ``text`` between the two markers of a suite."""
    begin, end = f"<!-- {suite}: written by make bench -->", f"<!-- {suite}: end -->"
    before, _, rest = page.read_text(encoding="utf-8").partition(begin)
    _, found, after = rest.partition(end)
    if not found:
        raise SystemExit(f"{page} lacks the line {begin!r} or, after it, {end!r}: add both where the tables belong")
    page.write_text(f"{before}{begin}\n{text}\n{end}{after}", encoding="utf-8")


if __name__ == "__main__":
    folder, page = map(Path, sys.argv[1:])
    for name, section in SUITES.items():
        results = folder / f"{name}.json"
        if results.exists():  # else that suite has not been run yet
            write(page, name, section(json.loads(results.read_text(encoding="utf-8"))))
