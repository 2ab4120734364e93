"""Writes a table: ``table.md``, ``table.csv`` and ``table.html``, ours beside the paper's figures."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from dataclasses import dataclass

from jinja2 import Environment, PackageLoader, StrictUndefined

from hscl_fast.counted import counted
from hscl_fast.many_runs.means import Mean
from hscl_fast.reproduce.plan import ALL_LABELLED, Plan
from hscl_fast.reproduce.results import CellResult, Figures, made_with, results_of
from hscl_fast.reproduce.scenario import Column

_DASH = "-"
_HEAD = (
    *("scenario", "split", "method", "row", "group", "column", "auroc_mean", "half_width_95", "runs", "runs_of_paper"),
    *("paper", "auroc_pooled", "budget", "missing"),
)


@dataclass(frozen=True)
class Part:
    """The table of one split.

    Attributes
    ----------
    split
        The split.
    columns
        Its columns.
    rows
        Title and cells of each row; None where the row is not measured in a column.
    reasons
        Why cells are empty, each once.
    """

    split: str
    columns: tuple[Column, ...]
    rows: list[tuple[str, list[CellResult | None]]]
    reasons: list[str]


@dataclass(frozen=True)
class Table:
    """A table with all that is said of it.

    Attributes
    ----------
    title
        What it shows.
    caption
        Sentences on the budget, on how to read it, and on what it was made with.
    parts
        One for each split.
    notes
        Sentences below it.
    results
        All its cells.
    """

    title: str
    caption: list[str]
    parts: list[Part]
    notes: list[str]
    results: list[CellResult]


def make_table(plan: Plan, figures: dict[str, Figures]) -> Table:
    """Return the table of a plan, as far as its runs have finished."""
    scenario, request = plan.scenario, plan.request
    results = results_of(plan, figures)
    parts = []
    for split in dict.fromkeys(result.cell.split for result in results):
        placed = {(r.cell.row.title, r.cell.column.key): r for r in results if r.cell.split == split}
        rows = [(row.title, [placed.get((row.title, column.key)) for column in plan.columns]) for row in plan.rows]
        reasons = dict.fromkeys(
            f"{result.cell.column.group or result.cell.column.title}: {result.cell.missing}"
            if "missing" in result.cell.missing
            else result.cell.missing
            for result in placed.values()
            if result.cell.missing is not None
        )
        parts.append(Part(split if scenario.known else ALL_LABELLED, plan.columns, rows, [*reasons]))
    caption = [
        "AUROC in percent, ours / the paper's. Ours is the mean over normal classes, known anomaly classes and seeds, "
        "± half of its 95 % interval by Student's t, which takes runs for independent; in brackets the number of runs, "
        "and of how many if the paper's figure is the mean of more.",
        f"Budget {request.budget.name}: {request.budget.words}.",
        *_changes(plan),
        *made_with(plan, figures),
    ]
    notes = [*scenario.notes, *(row.note for row in plan.rows if row.note)]
    return Table(f"{scenario.name}: {scenario.title}", caption, parts, notes, results)


def _changes(plan: Plan) -> list[str]:
    request, said = plan.request, []
    if request.classes is not None and plan.scenario.classes is None:
        said.append(f"As asked for, of the normal classes: {', '.join(map(str, request.classes))}.")
    if request.known is not None and plan.scenario.known:
        known = counted(request.known, "known anomaly class", "known anomaly classes")
        said.append(f"As asked for, at most {known} for each normal class.")
    if request.stand_in is not None:
        said.append(f"The data set is {request.stand_in} in place of the paper's, so the figures do not compare.")
    elif request.budget.stand_ins:
        pairs = ", ".join(f"{new} for {old}" for old, new in request.budget.stand_ins.items())
        said.append(f"Stand-ins: {pairs}.")
    if request.change:
        pairs = ", ".join(
            f"`{section}.{name}={value}`"
            for section, fields in request.change.items()
            for name, value in fields.items()
        )
        said.append(f"Changed in every run: {pairs}.")
    return said


def shown_mean(found: Mean | None) -> str:
    """Return a mean with its interval as text."""
    if found is None:
        return _DASH
    return f"{found.value:.1f}" + ("" if found.half_width is None else f" ± {found.half_width:.1f}")


def shown_runs(result: CellResult) -> str:
    """Return the number of runs as text, with that of the paper if it is larger."""
    if result.found is None:
        return ""
    return f"{result.found.n} of {result.cell.wanted}" if result.is_short else f"{result.found.n}"


def shown_paper(result: CellResult) -> str:
    """Return the paper's figure as text."""
    return _DASH if result.paper is None else f"{result.paper:.1f}"


def markdown(table: Table) -> str:
    """Return a table as Markdown."""
    lines = [f"# {table.title}", "", *table.caption]
    for part in table.parts:
        heads = [f"{column.group} {column.title}".strip() for column in part.columns]
        lines += ["", f"## Split `{part.split}`", "", _line(["", *heads]), _line(["---", *["---:"] * len(heads)])]
        lines += [_line([title, *map(_markdown_cell, cells)]) for title, cells in part.rows]
        if part.reasons:
            lines += ["", "Empty because:", "", *(f"- {reason}" for reason in part.reasons)]
    if table.notes:
        lines += ["", *(f"- {note}" for note in table.notes)]
    return "\n".join(lines) + "\n"


def _line(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |"


def _markdown_cell(result: CellResult | None) -> str:
    if result is None:
        return ""
    runs = shown_runs(result)
    return f"{shown_mean(result.found)}{f' ({runs})' if runs else ''} / {shown_paper(result)}"


def csv_text(table: Table, plan: Plan) -> str:
    """Return a table as CSV, a line for each cell."""
    buffer = io.StringIO()
    writer = csv.writer(buffer, lineterminator="\n")
    writer.writerow(_HEAD)
    for result in table.results:
        cell, found = result.cell, result.found
        writer.writerow(
            [
                *(plan.scenario.name, cell.split, cell.row.method, cell.row.title, cell.column.group),
                *(
                    cell.column.key,
                    _number(found.value if found else None),
                    _number(found.half_width if found else None),
                ),
                *(found.n if found else 0, cell.wanted, "" if result.paper is None else result.paper),
                *(_number(result.pooled), plan.request.budget.name, cell.missing or ""),
            ]
        )
    return buffer.getvalue()


def _number(value: float | None) -> str:
    return "" if value is None else f"{value:.3f}"


def html(table: Table, pictures: Sequence[str] = ()) -> bytes:
    """Return a table as a web page; ``pictures`` are files beside it."""
    environment = Environment(
        loader=PackageLoader(__package__, "templates"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters.update(mean=shown_mean, runs=shown_runs, paper=shown_paper)
    page = environment.get_template("table.html.j2").render(table=table, pictures=pictures)
    return page.encode("utf-8", errors="replace")
