"""Labels for the images of any data set, in a CSV file ``path,label``: what a person judged."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

from hscl_fast.data.user.csv_table import read_table, wrong_line
from hscl_fast.data.user.labels import ROLE_OF, WORD_FOR
from hscl_fast.errors import UsageError

_COLUMNS = ("path", "label")


class GivenLabel(NamedTuple):
    """One line of a file of labels: its number, the name of the image, and the role +1, 0 or -1."""

    line: int
    name: str
    role: int


def read_labels(path: Path) -> list[GivenLabel]:
    """Read the labels of a CSV file with the columns ``path`` and ``label``.

    Parameters
    ----------
    path
        As :func:`hscl_fast.data.user.csv_table.read_table` reads it. ``label`` is as in a CSV file of images: normal,
        unlabelled or abnormal, or 1, 0 or -1.

    Returns
    -------
    list of GivenLabel
        In the order of the file, each image once.

    Raises
    ------
    UsageError
        The file cannot be read, is not such a table, has no label at all, has an unknown label or gives an image two
        different labels. The message names the line.
    """
    rows, _ = read_table(path, _COLUMNS, {"normal", "abnormal"})
    found: dict[str, GivenLabel] = {}
    for line, row in rows:
        name, word = row["path"], row["label"].strip().lower()
        role = ROLE_OF.get(word)
        if role is None:
            raise _error(path, line, f"the label {row['label']!r} is unknown", "give normal, abnormal or unlabelled")
        before = found.setdefault(name, GivenLabel(line, name, role))
        if before.role != role:
            reason = f"{name!r} is {WORD_FOR[role]}, but {WORD_FOR[before.role]} in line {before.line}"
            raise _error(path, line, reason, "give each image one label")
    if not found:
        raise UsageError(f"{path} has no label. Expected a line path,label for each image that was judged.")
    return list(found.values())


def _error(path: Path, line: int, reason: str, fix: str) -> UsageError:
    return wrong_line(path, line, reason, _COLUMNS, fix)
