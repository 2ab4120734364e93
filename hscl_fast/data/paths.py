"""Paths as a user gives them, and names of files that must stay inside a folder."""

from __future__ import annotations

import os
from pathlib import Path


def at_home(path: str | os.PathLike[str]) -> Path:
    """Return the path with a leading ``~`` replaced; ``Path.expanduser`` fails for a user who does not exist."""
    return Path(os.path.expanduser(path))


def resolve_inside(folder: Path, name: str) -> Path | None:
    """Return the real path of ``name`` in ``folder``, or None where it, or a link on the way, leads outside.

    Parameters
    ----------
    folder
        The only folder from which files may be read.
    name
        A path relative to it, or an absolute one.
    """
    try:
        base = folder.resolve()
        path = (base / name).resolve()
    except (OSError, RuntimeError, ValueError):  # a loop of links, or a NUL byte
        return None
    return path if path.is_relative_to(base) and path != base else None


def name_inside(folder: Path, name: str, *, follow_links: bool = False) -> str | None:
    """Return the name by which an image in ``folder`` is recorded, with ``/``; None where it leads outside.

    Parameters
    ----------
    folder, name
        As for :func:`resolve_inside`.
    follow_links
        Links may lead anywhere, so that the name is the one that was given and not the real one.
    """
    if not follow_links:
        real = resolve_inside(folder, name)
        return None if real is None else real.relative_to(folder.resolve()).as_posix()
    base = os.path.abspath(folder)
    path = Path(os.path.normpath(os.path.join(base, name)))
    return path.relative_to(base).as_posix() if path.is_relative_to(base) and path != Path(base) else None


def is_plain_relative(name: str) -> bool:
    """Return whether ``name`` is a normalised relative path: no ``..``, no leading slash, nothing to normalise away.

    A backslash is a letter like others, but not on Windows.

    >>> [is_plain_relative(name) for name in ("train/0.png", "../0.png", "/train/0.png", "train//0.png")]
    [True, False, False, False]
    """
    return (
        "\0" not in name and (os.sep == "/" or os.sep not in name) and not {"", ".", ".."}.intersection(name.split("/"))
    )
