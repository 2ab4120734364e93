"""Tables as CSV text (RFC 4180) whose cells may hold anything that a file name holds."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Sequence


def csv_text(header: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    r"""Return a table as CSV with ``\n`` after each line.

    >>> csv_text(["path", "label"], [["a,b.png", 1], ["one\rtwo", 2]])
    'path,label\n"a,b.png",1\n"one\rtwo",2\n'

    Parameters
    ----------
    header
        The names of the columns.
    rows
        The cells of each line. What is not UTF-8 in them is escaped, as by :func:`escaped`.
    """
    text = io.StringIO()
    plain = csv.writer(text, lineterminator="\n")
    quoting = csv.writer(text, lineterminator="\n", quoting=csv.QUOTE_NONNUMERIC)
    for row in (header, *rows):
        # A lone carriage return, which ends a line for a reader, is left unquoted by the csv module.
        (quoting if any("\r" in str(cell) for cell in row) else plain).writerow(row)
    return escaped(text.getvalue())


def escaped(text: str) -> str:
    r"""Return a text in which the bytes of file names that are not UTF-8 are written as ``\udcNN``."""
    return text.encode("utf-8", "backslashreplace").decode("utf-8")
