"""Files that are either the old version or the whole new one, never something in between."""

from __future__ import annotations

import json
import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any


def _sync_directory(directory: Path) -> None:
    descriptor = os.open(directory, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Give a new name in the same directory to write to; the file then replaces ``path`` in one step.

    It is flushed to disk and renamed; then the directory entry is flushed as well. On any failure before the rename
    ``path`` is untouched and the new file is removed.

    Parameters
    ----------
    path
        The file to write. Its directory must exist.

    Raises
    ------
    OSError
        The directory is missing or not writable, or the disk is full.
    """
    # Not mkstemp: its mode 0600 would survive the rename. The short name fits where path's is at the limit.
    temporary = path.with_name(f".{secrets.token_hex(8)}.tmp")
    try:
        yield temporary
        with temporary.open("rb") as file:
            os.fsync(file.fileno())
        os.replace(temporary, path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
    _sync_directory(path.parent)


def write_bytes(path: str | os.PathLike[str], data: bytes) -> None:
    """Replace a file's content in one step.

    On any failure the old file is untouched: see :func:`replacing`.

    Parameters
    ----------
    path
        The file to write. Its directory must exist.
    data
        The whole new content.

    Raises
    ------
    OSError
        The directory is missing or not writable, or the disk is full.
    """
    with replacing(Path(path)) as temporary, temporary.open("xb") as file:
        file.write(data)


def write_text(path: str | os.PathLike[str], text: str) -> None:
    """Replace a text file in one step, as UTF-8 with its line ends as given.

    Parameters
    ----------
    path
        The file to write. Its directory must exist.
    text
        The whole new content.

    Raises
    ------
    UnicodeEncodeError
        ``text`` holds lone surrogates.
    OSError
        As in :func:`write_bytes`.
    """
    write_bytes(path, text.encode("utf-8"))


def write_json(path: str | os.PathLike[str], obj: Any) -> None:
    """Replace a JSON file in one step, indented, with a final line end.

    Parameters
    ----------
    path
        The file to write. Its directory must exist.
    obj
        Anything :func:`json.dumps` takes, with finite numbers only.

    Raises
    ------
    ValueError
        ``obj`` holds NaN or an infinity, which JSON has no word for.
    TypeError
        ``obj`` holds something that is not JSON, such as a numpy array.
    OSError
        As in :func:`write_bytes`.
    """
    # ASCII output, because a file name may hold surrogates that UTF-8 cannot encode but an escape can.
    write_text(path, json.dumps(obj, indent=2, allow_nan=False) + "\n")
