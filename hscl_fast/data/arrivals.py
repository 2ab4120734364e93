"""Notices the image files that arrive in a folder, and hands each out once it is whole."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from hscl_fast.data.find import Finder
from hscl_fast.errors import UsageError

_SETTLED = 0.3  # seconds without a change after which a file is taken for whole
_RETRIES = (0.5, 1.0, 2.0, 4.0)  # seconds to wait after each failure to read a file that has just arrived
_OLD = 10.0  # seconds; a file that has not changed for so long is not being written


class _Version(NamedTuple):
    """What changes whenever a file is written to."""

    size: int
    changed: int  # nanoseconds
    number: int


@dataclass
class _Waiting:
    version: _Version
    ready_at: float
    failures: int = 0


class Arrivals:
    """The image files of a folder and its sub-folders that were not handed out before.

    A file is handed out when size and time of its last change have stayed the same for a moment. If reading it fails,
    :meth:`failed` says whether it is to be tried again, because it may still be being written.

    Parameters
    ----------
    folder, exclude, follow_links
        As for :class:`hscl_fast.data.find.Finder`.
    done
        Whether the file of a path was dealt with before.
    clock, wall_clock
        Seconds that only grow, and seconds as files have them.
    """

    def __init__(
        self,
        folder: Path,
        exclude: Sequence[str],
        done: Callable[[Path], bool],
        *,
        follow_links: bool = False,
        clock: Callable[[], float] = time.monotonic,
        wall_clock: Callable[[], float] = time.time,
    ) -> None:
        self._folder, self._exclude, self._follow_links = folder, exclude, follow_links
        self._clock, self._wall_clock = clock, wall_clock
        self._was_done = done
        self._waiting: dict[Path, _Waiting] = {}
        self._finished: dict[Path, _Version | None] = {}  # the version that could not be read; None: it was read

    def whole(self) -> list[Path]:
        """Look at the folder; return the files that are new and whole, sorted by path.

        A file or folder that disappears meanwhile is no error; nor is the watched folder's being away for a while.
        """
        try:
            found = Finder(self._folder, self._exclude, follow_links=self._follow_links, flags="--").find()
        except (UsageError, OSError):  # a folder has gone between its being listed and being read
            return []
        now, ready = self._clock(), []
        for path in found:
            if path not in self._finished and self._was_done(path):
                self._finished[path] = None
            if self._finished.get(path, path) is None or (version := _version(path)) is None:
                continue
            if self._finished.get(path) == version:
                continue
            waiting = self._waiting.get(path)
            if waiting is None or waiting.version != version:
                age = self._wall_clock() - version.changed / 1e9
                waiting = _Waiting(version, now + (0.0 if age >= _SETTLED else _SETTLED))
                self._waiting[path] = waiting
            if now >= waiting.ready_at:
                ready.append(path)
        self._waiting = {path: self._waiting[path] for path in found if path in self._waiting}
        return ready

    def finish(self, path: Path) -> None:
        """Do not hand a file out again: it was read."""
        self._waiting.pop(path, None)
        self._finished[path] = None

    def failed(self, path: Path) -> bool:
        """Note that a file could not be read.

        Returns
        -------
        bool
            True where it was given up, until it changes; False where it will be handed out again, because it has
            arrived a moment ago, or is gone.
        """
        waiting, version = self._waiting.get(path), _version(path)
        if waiting is None or version is None:
            return False
        if version != waiting.version:
            return False
        old = self._wall_clock() - version.changed / 1e9 > _OLD
        if old or waiting.failures == len(_RETRIES):
            del self._waiting[path]
            self._finished[path] = version
            return True
        waiting.ready_at = self._clock() + _RETRIES[waiting.failures]
        waiting.failures += 1
        return False


def _version(path: Path) -> _Version | None:
    """Return the version of a file; None if it has gone."""
    try:
        facts = os.stat(path)
    except OSError:
        return None
    return _Version(facts.st_size, facts.st_mtime_ns, facts.st_ino)
