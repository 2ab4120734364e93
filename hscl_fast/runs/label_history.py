"""The labels that people gave, round by round: every run has those of the runs before it."""

from __future__ import annotations

import time
from pathlib import Path
from typing import NamedTuple

from hscl_fast.csv_text import csv_text
from hscl_fast.data.split.split import Split
from hscl_fast.data.user.csv_table import read_table, wrong_line
from hscl_fast.data.user.labels import ROLE_OF, WORD_FOR

LABEL_HISTORY = "labels_history.csv"
_COLUMNS = ("round", "path", "label", "date", "run")


class PastLabel(NamedTuple):
    """A label: in which round it was given, to which image, the word for its role, the day, and the run trained."""

    round: int
    path: str
    label: str
    date: str
    run: str


def read_history(path: Path) -> list[PastLabel]:
    """Read a history of labels; there may be none.

    Raises
    ------
    UsageError
        The file is not such a table.
    """
    if not path.exists():
        return []
    rows, _ = read_table(path, _COLUMNS, {"normal", "abnormal"})
    found = []
    for line, row in rows:
        number = row["round"]
        if not (number.isascii() and number.isdigit() and 1 <= int(number[:10]) < 1_000_000):
            raise wrong_line(path, line, f"the round {number[:99]!r} is not a number", _COLUMNS, "restore the file")
        if row["label"] not in ROLE_OF:
            raise wrong_line(path, line, f"the label {row['label'][:99]!r} is unknown", _COLUMNS, "restore the file")
        found.append(PastLabel(int(number), *(row[name] for name in _COLUMNS[1:])))
    return found


def with_new_labels(history: list[PastLabel], split: Split, run: Path) -> list[PastLabel]:
    """Return the history with one more round, if labels were given for this split.

    Parameters
    ----------
    history
        Of the run whose split record was used.
    split
        The split of the new run.
    run
        Its directory.
    """
    if not split.judged:
        return history
    number = max((label.round for label in history), default=0) + 1
    today = time.strftime("%Y-%m-%d")
    new = [PastLabel(number, given.name, WORD_FOR[given.role], today, run.name) for given in split.judged]
    return [*history, *new]


def history_csv(history: list[PastLabel]) -> str:
    """Return the history as a table, oldest labels first."""
    return csv_text(_COLUMNS, history)
