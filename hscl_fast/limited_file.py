"""Reads whole files from outside, but no pipe, no device and nothing without an end."""

from __future__ import annotations

import os
import stat


def read_limited(path: str | os.PathLike[str], most: int) -> bytes:
    """Return the content of a regular file.

    Parameters
    ----------
    path
        The file; a link to one is followed.
    most
        The largest size in bytes.

    Raises
    ------
    OSError
        It cannot be read, is not a regular file, or is larger; ``strerror`` says which.
    """
    # Without O_NONBLOCK, opening a pipe waits for its writer.
    descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    try:
        facts = os.fstat(descriptor)
        if not stat.S_ISREG(facts.st_mode):
            raise OSError(0, "it is a folder" if stat.S_ISDIR(facts.st_mode) else "it is not a regular file")
        if facts.st_size > most:
            raise OSError(0, f"it has {facts.st_size:,} bytes, but may have no more than {most:,}")
        with open(descriptor, "rb", closefd=False) as file:
            return file.read()
    finally:
        os.close(descriptor)
