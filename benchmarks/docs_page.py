"""Writes the tables and the plot of docs/benchmarks.md and the README's table from the results of all suites.

python -m benchmarks.docs_page benchmarks/results docs/benchmarks.md README.md
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

from benchmarks import (
    ablation_table,
    highlights,
    loader_table,
    objective_plot,
    objective_table,
    roofline_table,
    startup_table,
    step_table,
    view_table,
)
from benchmarks.markdown import replaced

SUITES = {
    "objective": objective_table.section,
    "views": view_table.section,
    "loaders": loader_table.section,
    "training_step": step_table.section,
    "ablation": ablation_table.section,
    "roofline": roofline_table.section,
    "startup": startup_table.section,
    "gpu_objective": objective_table.section,
    "gpu_views": view_table.section,
}
PLOTS = {"objective": "objective.svg", "gpu_objective": "gpu_objective.svg"}  # in docs/images


def read_results(folder: Path) -> dict[str, dict[str, Any]]:
    """Return pytest-benchmark's results of every suite that has been run, by suite."""
    files = {suite: folder / f"{suite}.json" for suite in SUITES}
    return {suite: json.loads(file.read_text(encoding="utf-8")) for suite, file in files.items() if file.exists()}


def updated_page(page: str, results: dict[str, dict[str, Any]]) -> str:
    """Return the text of docs/benchmarks.md with the tables of all results."""
    for suite, result in results.items():
        section = SUITES[suite](result)
        if suite in PLOTS:
            alternative = "Time and extra memory against the number of rows, on logarithmic axes"
            section = f"{section}\n\n![{alternative}](images/{PLOTS[suite]})"
        page = replaced(page, suite, section)
    return page


def plots(results: dict[str, dict[str, Any]]) -> dict[str, bytes]:
    """Return the SVG files of docs/images by name."""
    return {name: objective_plot.objective_svg(results[suite]) for suite, name in PLOTS.items() if suite in results}


def updated_readme(readme: str, results: dict[str, dict[str, Any]]) -> str:
    """Return the text of the README with its table, where the suites that it needs have been run."""
    complete = all(row.suite in results for row in highlights.ROWS)
    return replaced(readme, "speed", highlights.section(results)) if complete else readme


if __name__ == "__main__":
    folder, page, readme = map(Path, sys.argv[1:])
    measured = read_results(folder)
    page.write_text(updated_page(page.read_text(encoding="utf-8"), measured), encoding="utf-8")
    for name, content in plots(measured).items():
        (page.parent / "images" / name).write_bytes(content)
    readme.write_text(updated_readme(readme.read_text(encoding="utf-8"), measured), encoding="utf-8")
