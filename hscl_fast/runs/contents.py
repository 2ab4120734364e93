"""The files that a run writes, by name: all that ``--overwrite`` may remove."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Sequence
from pathlib import Path

from hscl_fast.atomic import TEMPORARY
from hscl_fast.errors import UsageError
from hscl_fast.runs.lock import LOCK

EVALUATION_NAME = r"[A-Za-z0-9][A-Za-z0-9._+-]{0,199}"  # file systems take names of up to 255 bytes
MARKER = ".hscl-run"  # a folder with this file is a run directory

_SHOWN = 5  # files in a message
_CHECKPOINT = r"(checkpoint\.json|(weights|state)-[0-9a-f]{16}\.(safetensors|pt))"
_RESULTS = rf"(summary\.json|scores\.csv|suspects\.(csv|html)|report\.html|calibration/{_CHECKPOINT})"
_FOLDER = (
    r"(checkpoints(/(last|best))?|data|features|calibration|tensorboard|"
    rf"evaluations(/{EVALUATION_NAME}(/calibration)?)?)"
)
_FILE = re.compile(
    "|".join(
        (
            r"config\.yaml|env\.json|split\.json|skipped\.csv|labels_history\.csv|review\.html|metrics\.jsonl",
            re.escape(MARKER),
            re.escape(LOCK),
            r"data/images\.(npz|csv)",
            rf"(evaluations/{EVALUATION_NAME}/)?{_RESULTS}",
            rf"(checkpoints/(last|best)|features)/{_CHECKPOINT}",
            r"tensorboard/events\.out\.tfevents\.[^/]+",
            rf"({_FOLDER}/)?{TEMPORARY}",  # left by a crash
        )
    )
)


def is_unfinished(run: Path) -> bool:
    """Whether a folder is as a process leaves it that is killed before it has marked its run, with no work in it."""
    own = re.compile(rf"{re.escape(LOCK)}|{TEMPORARY}")
    return run.is_dir() and all(own.fullmatch(path.name) and not path.is_symlink() for path in run.iterdir())


def require_replaceable(
    path: Path, marker: str, called: str, writer: str, foreign: Callable[[], Sequence[Path]]
) -> None:
    """Raise a :class:`UsageError` unless ``--overwrite`` may replace a folder that exists.

    Parameters
    ----------
    path, marker
        The folder, and the file that marks it.
    called, writer
        What it should be, and what writes such a folder, in words.
    foreign
        Returns what lies in it that ``writer`` does not write.
    """
    if path.is_symlink() or not ((path / marker).is_file() or is_unfinished(path)):
        raise UsageError(
            f"--out {path} exists and is not {called} (it has no {marker}), so --overwrite will not touch it. Give "
            "another --out."
        )
    if others := foreign():
        shown = ", ".join(str(other.relative_to(path)) for other in others[:_SHOWN])
        more = f" and {len(others) - _SHOWN} more" if len(others) > _SHOWN else ""
        raise UsageError(
            f"--out {path} holds files that no {writer} writes ({shown}{more}), so --overwrite will not touch it. "
            "Move them elsewhere, or give another --out."
        )


def foreign_entries(run: Path) -> list[Path]:
    """Return what lies in a run directory that no run writes: other files and folders, and every link."""
    return [path for path in _entries(run) if not _is_own(run, path)]


def remove_contents(run: Path) -> None:
    """Remove the files and folders that a run writes, but not its marker and its lock.

    Raises
    ------
    OSError
        Something cannot be removed, such as a folder in which another file has appeared.
    """
    kept = {run / MARKER, run / LOCK}
    for path in reversed(_entries(run)):  # what is inside of a folder before the folder
        if path in kept or not _is_own(run, path):
            continue
        path.rmdir() if path.is_dir() else path.unlink()


def _entries(run: Path) -> list[Path]:
    """Return all files and folders below a run directory, folders before what is in them."""
    found = []
    for parent, folders, files in os.walk(run):
        found += [Path(parent, name) for name in (*folders, *files)]
    return found


def _is_own(run: Path, path: Path) -> bool:
    name = path.relative_to(run).as_posix()
    if path.is_symlink():
        return False
    return re.fullmatch(_FOLDER, name) is not None if path.is_dir() else _FILE.fullmatch(name) is not None
