"""Writes files atomically: a file is either the old version or the complete new one."""

from __future__ import annotations

import errno
import fcntl
import hashlib
import json
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

TEMPORARY = r"\.[0-9a-f]{16}\.tmp"  # the name of a file that is being written, or that a killed process has left


def sync(path: Path) -> None:
    """Flush a file's content, or a directory's entries, to the disk; a disk that is full may say so only here."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Yield an empty file in the same directory to write to; it then replaces ``path`` atomically.

    The new file is flushed to disk and renamed, then the directory entry is flushed. If anything fails before the
    rename, ``path`` is unchanged and the new file is removed. A killed process leaves it, and the next one that writes
    ``path`` takes it over.

    Parameters
    ----------
    path
        The file to write. Its directory must exist.

    Raises
    ------
    OSError
        The directory is missing or not writable, the disk is full, or another process is writing ``path``.
    """
    # Short, because path's own name may be as long as allowed; always the same, so that no kill leaves a second one.
    name = hashlib.sha256(os.fsencode(path.name)).hexdigest()[:16]
    temporary = path.with_name(f".{name}.tmp")
    descriptor = _claim(temporary)
    try:
        try:
            yield temporary
            os.fsync(descriptor)
            os.replace(temporary, path)
        except BaseException:
            with suppress(OSError):  # a disk that has become read-only; the first error says more
                temporary.unlink()
            raise
    finally:
        os.close(descriptor)
    sync(path.parent)


def _claim(temporary: Path) -> int:
    """Create a temporary file, or take over one that a killed process has left; return its descriptor, locked."""
    while True:
        descriptor = os.open(temporary, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o666)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(descriptor)
            raise OSError(errno.EBUSY, "another process is writing it", str(temporary)) from None
        except OSError:
            pass  # a file system without locks
        with suppress(FileNotFoundError):
            if os.path.samestat(os.fstat(descriptor), os.lstat(temporary)):
                os.ftruncate(descriptor, 0)
                return descriptor
        os.close(descriptor)  # another process has renamed it before the lock was free


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
    with replacing(Path(path)) as temporary, temporary.open("wb") as file:
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
    write_bytes(path, json_bytes(obj))


def json_bytes(obj: Any) -> bytes:
    """Return the content that :func:`write_json` writes."""
    # ASCII output, because a file name may hold surrogates that UTF-8 cannot encode but an escape can.
    return (json.dumps(obj, indent=2, allow_nan=False) + "\n").encode("ascii")
