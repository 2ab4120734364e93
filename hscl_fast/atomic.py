"""Writes files atomically: a file is either the old version or the complete new one."""

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
    """Yield a new name in the same directory to write to; the file then replaces ``path`` atomically.

    The new file is flushed to disk and renamed, then the directory entry is flushed. If anything fails before the
    rename, ``path`` is unchanged and the new file is removed.

    Parameters
    ----------
    path
        The file to write. Its directory must exist.

    Raises
    ------
    OSError
        The directory is missing or not writable, or the disk is full.
    """
    # Not mkstemp, whose mode 0600 would survive the rename. The name is short because path's may be as long as allowed.
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
    """Replace a file's content atomically.

    On any failure the old file is unchanged: see :func:`replacing`.

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
    """Replace a text file atomically, as UTF-8 and with line endings as given.

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
    """Replace a JSON file atomically, indented and with a trailing newline.

    Parameters
    ----------
    path
        The file to write. Its directory must exist.
    obj
        Anything :func:`json.dumps` takes, with finite numbers only.

    Raises
    ------
    ValueError
        ``obj`` holds NaN or an infinity, which JSON cannot represent.
    TypeError
        ``obj`` holds a value that JSON cannot represent, such as a NumPy array.
    OSError
        As in :func:`write_bytes`.
    """
    # ASCII output, because a file name may hold surrogates that UTF-8 cannot encode but an escape can.
    write_text(path, json.dumps(obj, indent=2, allow_nan=False) + "\n")
