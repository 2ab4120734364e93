"""A table of scores that grows row by row; every row is on the disk before the next one is scored."""

from __future__ import annotations

import csv
import fcntl
import io
import os
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType

from hscl_fast.csv_text import escaped
from hscl_fast.errors import UsageError
from hscl_fast.evaluation.predictions import Predictions

_COLUMNS = ["path", "anomaly_score", "decision", "error"]
_DECISIONS = ("normal", "abnormal")


class GrowingTable:
    """A CSV file as ``hscl predict`` writes it, to which rows are appended.

    The file is made if it is not there. A last row that a crash has cut short is removed; every other row stays.

    Parameters
    ----------
    path
        The file.

    Attributes
    ----------
    paths
        What the column ``path`` has in the rows that were there.

    Raises
    ------
    UsageError
        The file is no such table, another process appends to it, or it cannot be written.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        try:
            self._file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o666)
        except OSError as error:
            raise self._unwritable(error) from error
        try:
            self.paths = self._take_over()
        except BaseException:
            os.close(self._file)
            raise

    def __enter__(self) -> GrowingTable:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        os.close(self._file)

    def append(self, rows: Predictions) -> None:
        """Write some rows and wait until they are on the disk; raise a :class:`UsageError` if that fails."""
        _, *lines = _records(rows.csv())
        for line in lines:
            self._write(line.encode("utf-8"))

    def __contains__(self, name: str) -> bool:
        return escaped(name) in self.paths

    def _take_over(self) -> set[str]:
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise UsageError(
                f"--out {self._path} is being written by another `hscl watch`. Stop that one, or give another file."
            ) from None
        except OSError:
            pass  # a file system without locks
        try:
            with open(self._file, "rb", closefd=False) as file:
                content = file.read()
        except OSError as error:
            raise self._unwritable(error) from error
        if not content:
            self._write((",".join(_COLUMNS) + "\n").encode())
            return set()
        return self._check(content)

    def _check(self, content: bytes) -> set[str]:
        """Return the names in the rows, and repair the end of the file.

        Raises
        ------
        UsageError
            A row is not one of such a table.
        """
        try:
            text = content.decode("utf-8")
        except UnicodeDecodeError as error:
            if error.end < len(content):
                raise self._other("it is not UTF-8") from None
            text = content[: error.start].decode("utf-8")  # a letter that was cut in two
        names: set[str] = set()
        whole = 0  # characters
        for number, record in enumerate(_records(text), 1):
            fields = _fields(record)
            complete = fields is not None and len(fields) == len(_COLUMNS)
            if number == 1 and fields != _COLUMNS:
                raise self._other(f"its first line is {record[:80].strip()!r}")
            if record.endswith("\n") and not complete:
                raise self._other(f"its row {number} is {record[:80].strip()!r}")
            if complete and fields is not None and (record.endswith("\n") or fields[2] in _DECISIONS or number == 1):
                names.update(fields[:1] if number > 1 else ())
                whole += len(record)
        kept = text[:whole].encode("utf-8")
        try:
            if len(kept) < len(content):
                os.ftruncate(self._file, len(kept))
        except OSError as error:
            raise self._unwritable(error) from error
        if not kept.endswith(b"\n"):
            self._write(b"\n")
        return names

    def _write(self, line: bytes) -> None:
        try:
            while line:
                line = line[os.write(self._file, line) :]
            os.fsync(self._file)
        except OSError as error:
            raise self._unwritable(error) from error

    def _other(self, reason: str) -> UsageError:
        return UsageError(
            f"--out {self._path} is not a table that `hscl watch` or `hscl predict` wrote: {reason}, but the columns "
            f"must be {','.join(_COLUMNS)}. Nothing was changed; give another file."
        )

    def _unwritable(self, error: OSError) -> UsageError:
        return UsageError(
            f"--out {self._path} cannot be written: {error.strerror or error}. Give a file that you may write to, on a "
            "disk with free space."
        )


def _records(text: str) -> Iterator[str]:
    """Yield the records of a CSV text with their line ends; the last may lack one. Names may hold line breaks."""
    held = ""
    for line in io.StringIO(text, newline="\n"):
        held += line
        if held.count('"') % 2 == 0:
            yield held
            held = ""
    if held:
        yield held.rstrip("\n")


def _fields(record: str) -> list[str] | None:
    """Return the fields of a record, or None if it is not valid CSV."""
    try:
        (fields,) = csv.reader(io.StringIO(record, newline=""), strict=True)
    except (csv.Error, ValueError):
        return None
    return fields
