"""Where files lie: the layouts of a named data set, and names that must stay inside a folder."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from hscl_fast.errors import UsageError

Layout = tuple[Path, ...]


@dataclass(frozen=True)
class Origin:
    """Where a data set comes from, for the error that says it is missing.

    Parameters
    ----------
    name
        The data set's name.
    url
        Its official page.
    mend
        How to get it; ``{root}`` stands for the folder it is looked for in.
    """

    name: str
    url: str
    mend: str

    def missing(self, looked_for: Sequence[Path], root: Path) -> UsageError:
        """Return the error for files that are not there."""
        paths = " or ".join(str(path) for path in looked_for)
        mend = self.mend.format(root=root)
        return UsageError(
            f"{self.name} is missing: no file {paths}. It comes from {self.url}. To mend it, {mend}, or name the "
            "folder that has it with --data.root."
        )

    def corrupt(self, path: Path, reason: str) -> UsageError:
        """Return the error for a file that is there and is not what it should be."""
        return UsageError(
            f"{path} is not a valid file of {self.name}: {reason}. Delete it and fetch it again from {self.url}."
        )


def choose_layout(origin: Origin, layouts: Sequence[Layout], root: Path) -> Layout:
    """Return the first layout whose files all exist.

    Parameters
    ----------
    origin
        Whose files these are.
    layouts
        Ways in which the files may lie, each a tuple of files.
    root
        The folder to name in the error.

    Raises
    ------
    UsageError
        No layout is complete. The message names the missing file of the layout that is nearest to complete.
    """
    for layout in layouts:
        if all(path.is_file() for path in layout):
            return layout
    begun = [layout for layout in layouts if any(path.is_file() for path in layout)]
    missing = [next(path for path in layout if not path.is_file()) for layout in begun or layouts]
    raise origin.missing(missing, root)


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


def is_plain_relative(name: str) -> bool:
    """Whether ``name`` is a normalised relative path: no ``..``, no leading slash, nothing to normalise away."""
    path = PurePosixPath(name)
    harmless = "\0" not in name and "\\" not in name and ".." not in path.parts
    return bool(name) and name != "." and harmless and not path.is_absolute() and str(path) == name
