"""The files that a command writes where the user says: refused early, written completely or not at all."""

from __future__ import annotations

import os
import tempfile
from contextlib import suppress
from pathlib import Path

from hscl_fast.atomic import write_bytes
from hscl_fast.errors import UsageError


def require_writable(flag: str, out: Path, *, overwrite: bool, kind: str) -> None:
    """Refuse a place where a file cannot be written, before any work is done for it.

    Parameters
    ----------
    flag
        The option that names it.
    out
        The file.
    overwrite
        Whether an existing file may be replaced.
    kind
        What is written, such as ``CSV file``.

    Raises
    ------
    UsageError
        It exists, is no regular file, or its folder is missing or cannot be written to.
    """
    # os.path returns False where pathlib raises, as for a name that is too long.
    if os.path.lexists(out) and not os.path.isfile(out):
        found = "is a folder" if os.path.isdir(out) else "is not a regular file"
        raise UsageError(f"{flag} {out} {found}. Give the {kind} to write.")
    if os.path.lexists(out) and not overwrite:
        raise UsageError(f"{flag} {out} already exists. Give another file, or add --overwrite to replace it.")
    if not os.path.isdir(out.parent):
        raise UsageError(f"{flag} {out}: the folder {out.parent} does not exist. Create it, or give another file.")
    try:
        tempfile.TemporaryFile(dir=out.parent).close()
        with suppress(FileNotFoundError):
            os.lstat(out)  # fails for a name that is too long
    except OSError as error:
        raise unwritable(flag, out, error) from error


def write_output(flag: str, out: Path, content: bytes) -> None:
    """Write a file atomically; raise a :class:`UsageError` if that fails."""
    try:
        write_bytes(out, content)
    except OSError as error:
        raise unwritable(flag, out, error) from error


def unwritable(flag: str, out: Path, error: OSError) -> UsageError:
    """Return the error of a file that the system does not let us write."""
    return UsageError(
        f"{flag} {out} cannot be written: {error.strerror or error}. Give a file that you may write to, on a disk with "
        "free space."
    )
