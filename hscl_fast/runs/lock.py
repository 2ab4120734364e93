"""One writer per run: a lock that ends with the process that holds it, however it ends."""

from __future__ import annotations

import fcntl
import json
import os
import socket
import stat
import time
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Self

from hscl_fast.errors import UsageError

LOCK = ".lock"

# A POSIX lock does not keep its own process out, and closing any descriptor of the file releases it.
_held: set[tuple[int, int]] = set()


class RunLock:
    """Holds a run directory for one writer, from :meth:`acquire` to the end of the ``with`` block.

    The file names the writer while there is one, and is empty afterwards.

    It is a POSIX record lock, so the system releases it when the process ends, also by SIGKILL; a file system that is
    shared by several machines keeps it between them where it supports such locks (NFS does).

    Parameters
    ----------
    directory
        The run directory.
    """

    def __init__(self, directory: Path) -> None:
        self._path = directory / LOCK
        self._descriptor: int | None = None
        self._identity: tuple[int, int] | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._identity is not None:
            _held.discard(self._identity)
        if self._descriptor is not None:
            with suppress(OSError):
                os.ftruncate(self._descriptor, 0)
            os.close(self._descriptor)
        self._descriptor = self._identity = None

    def acquire(self) -> None:
        """Take the lock; the directory must exist.

        Raises
        ------
        UsageError
            Another process, or this one, is writing to the run; or the directory is not writable.
        """
        if self._descriptor is not None:
            return
        try:
            descriptor = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o644)
            if not stat.S_ISREG(os.fstat(descriptor).st_mode):
                os.close(descriptor)
                raise OSError(0, "it is not a regular file")
        except OSError as error:
            raise UsageError(
                f"{self._path} cannot be opened ({error.strerror}), so the run cannot be written to. Make the run "
                "directory writable."
            ) from error
        facts = os.fstat(descriptor)
        identity = (facts.st_dev, facts.st_ino)
        if identity in _held:
            # Closing the descriptor would release the lock that this process holds; it stays open until the end.
            raise self._busy(descriptor)
        try:
            fcntl.lockf(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            busy = self._busy(descriptor)
            os.close(descriptor)
            raise busy from error
        _held.add(identity)
        self._descriptor, self._identity = descriptor, identity
        writer = {"pid": os.getpid(), "host": socket.gethostname(), "since": time.strftime("%Y-%m-%d %H:%M:%S")}
        with suppress(OSError):  # on a full disk the lock holds without a name
            os.ftruncate(descriptor, 0)
            os.pwrite(descriptor, json.dumps(writer).encode(), 0)

    def _busy(self, descriptor: int) -> UsageError:
        try:
            writer = json.loads(os.pread(descriptor, 4096, 0))
            who = f"process {writer['pid']} on {writer['host']} since {writer['since']}"
        except (ValueError, KeyError, TypeError, RecursionError):
            who = "another process"
        return UsageError(
            f"{self._path.parent} is being written by {who}. Wait until it has finished, or stop it with Ctrl-C or "
            "SIGTERM, which saves what it has done."
        )
