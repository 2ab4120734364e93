"""What a table or a figure of the paper consists of: rows, columns and printed figures."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

Changes = Mapping[str, Mapping[str, Any]]  # by section of the configuration and by field
HSCL, HSCL_RELEASED = "hscl", "hscl_released"


@dataclass(frozen=True)
class Column:
    """A setting in which every row is measured.

    Attributes
    ----------
    key
        Its name in files; rows name it where they say what the paper prints.
    title
        Its head in the table.
    data
        The data set of the paper.
    change
        What it changes in the configuration.
    group
        A heading over it and its neighbours; empty for none.
    test
        The anomaly class whose AUROC is shown; None: the mean over all of them.
    x
        Where it is drawn in a figure; None in tables.
    """

    key: str
    title: str
    data: str
    change: Changes = field(default_factory=dict)
    group: str = ""
    test: str | None = None
    x: float | None = None


@dataclass(frozen=True)
class Row:
    """A method, or a variant of one.

    Attributes
    ----------
    title
        Its name in the table.
    method
        ``hscl``, ``hscl_released`` (recipe ``released``) or a comparator of :mod:`hscl_fast.comparators.registry`.
    paper
        The AUROC in percent that the paper prints, by column.
    change
        What it changes in the configuration.
    columns
        The columns that are run; None: those that the paper has a figure for, or all if it has none.
    note
        A sentence below the table.
    """

    title: str
    method: str
    paper: Mapping[str, float] = field(default_factory=dict)
    change: Changes = field(default_factory=dict)
    columns: tuple[str, ...] | None = None
    note: str = ""

    def is_run_in(self, column: Column) -> bool:
        """Whether the row is measured in a column."""
        wanted = self.paper if self.columns is None else self.columns
        return column.key in wanted if wanted else column.key not in OPTIONAL


@dataclass(frozen=True)
class Scenario:
    """A table or a figure.

    Attributes
    ----------
    name
        Its name on the command line.
    title
        Its caption.
    kind
        ``table``, ``lines`` (a figure over its columns) or ``tsne`` (a panel for each row).
    columns, rows
        What is measured.
    classes
        Normal classes; None: all of the data set.
    known
        Whether each run labels anomalies of one known class, and all of them take turns (the split ``elsa``).
    notes
        Sentences below the table, such as contradictions in the paper.
    x_label
        What a figure's columns are.
    """

    name: str
    title: str
    kind: Literal["table", "lines", "tsne"]
    columns: tuple[Column, ...]
    rows: tuple[Row, ...]
    classes: tuple[int, ...] | None = None
    known: bool = True
    notes: tuple[str, ...] = ()
    x_label: str = ""


# Columns of which only the rows that the paper has a figure for are run: without labels a semi-supervised method has
# nothing to learn from.
OPTIONAL = ("labelled 0",)
