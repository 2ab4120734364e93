"""Tables in CSV files from outside: a header with known columns, and its lines."""

from __future__ import annotations

import csv
import io
from collections.abc import Collection, Sequence
from pathlib import Path

from hscl_fast.counted import counted
from hscl_fast.data.user.looks_like import looks_like
from hscl_fast.errors import UsageError
from hscl_fast.limited_file import read_limited

SEPARATORS = {",": "a comma", ";": "a semicolon", "\t": "a tab"}
_LARGEST = 64 << 20  # bytes
_MOST_LINES = 2_000_000


def read_table(
    path: Path, columns: Sequence[str], words: Collection[str]
) -> tuple[list[tuple[int, dict[str, str]]], str]:
    """Read a CSV file that has at least some columns.

    Parameters
    ----------
    path
        The file, in UTF-8, with commas, semicolons or tabs between the fields, as its header has them.
    columns
        The columns that it must have, in any order and in capitals or not; others may be there.
    words
        Words that tell a line from a header.

    Returns
    -------
    rows
        The number of each line that is not empty, and its fields by column as they stand, with any spaces.
    separator
        What is between the fields.

    Raises
    ------
    UsageError
        The file cannot be read, is not CSV in UTF-8, or lacks a column; or a line has more or fewer fields than the
        header. The message names the line.
    """
    text = _text(path, columns)
    if text.count("\n") > _MOST_LINES:
        reason = f"it has more than {_MOST_LINES:,} lines"
        raise wrong_line(path, _MOST_LINES, reason, columns, "give the images in parts, or as a folder")
    separator = _separator(text, columns)
    reader = csv.reader(io.StringIO(text, newline=""), strict=True, delimiter=separator)
    rows = []
    try:
        header = [name.strip().lower() for name in next(reader, [])]
        _check_header(path, header, columns, words)
        for fields in reader:
            if not any(field.strip() for field in fields):
                continue
            if len(fields) != len(header):
                reason = f"it has {counted(len(fields), 'field')}, the header {len(header)}"
                used = SEPARATORS[separator]
                fix = f"put {used} between the fields, as in the header, and quote paths that contain {used}"
                raise wrong_line(path, reader.line_num, reason, columns, fix)
            rows.append((reader.line_num, dict(zip(header, fields, strict=True))))
    except csv.Error as error:
        reason = f"it is not valid CSV ({error})"
        raise wrong_line(path, reader.line_num, reason, columns, "fix the quotes") from None
    return rows, separator


def wrong_line(path: Path, line: int, reason: str, columns: Sequence[str], fix: str) -> UsageError:
    """Return the error about one line of a table."""
    expected = f"column{'s' * (len(columns) > 1)} {','.join(columns)}"
    return UsageError(f"{path}, line {line}: {reason}. Expected the {expected}; to fix this, {fix}.")


def _separator(text: str, columns: Sequence[str]) -> str:
    """Return what separates the columns that the header must have; a comma if nothing does."""
    first = text.partition("\n")[0].rstrip("\r")
    for separator in SEPARATORS:
        names = [name.strip().strip('"').lower() for name in first.split(separator)]
        if all(column in names for column in columns):
            return separator
    return ","


def _text(path: Path, columns: Sequence[str]) -> str:
    try:
        raw = read_limited(path, _LARGEST)
    except OSError as error:
        raise UsageError(f"{path} cannot be read ({error.strerror}). Give the path of a CSV file.") from None
    kind = looks_like(raw[:64])
    if kind not in ("text", None):
        raise UsageError(
            f"{path} is {kind}, not a CSV file in UTF-8. Expected the columns {','.join(columns)}; save it as CSV in "
            "UTF-8, which Excel calls `CSV UTF-8`."
        )
    try:
        return raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = raw.count(b"\n", 0, error.start) + 1
        raise wrong_line(path, line, "the text is not UTF-8", columns, "save the file in UTF-8") from None


def _check_header(path: Path, header: list[str], columns: Sequence[str], words: Collection[str]) -> None:
    missing = [name for name in columns if header.count(name) != 1]
    if not missing:
        return
    line = ",".join(header)
    if line.startswith("sep="):
        fix = "take it out, so that the header is the first line"
        raise wrong_line(path, 1, f"{line!r} is a line for Excel only", columns, fix)
    if {*words} & {*header}:
        raise wrong_line(path, 1, f"{line!r} is not a header", columns, f"write {','.join(columns)} above it")
    fix = f"give one column {' and '.join(missing)}, with commas, semicolons or tabs between the columns"
    raise wrong_line(path, 1, f"the header is {line!r}", columns, fix)
