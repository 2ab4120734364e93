"""Where a public data set comes from, and the layouts in which its files may lie."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

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
