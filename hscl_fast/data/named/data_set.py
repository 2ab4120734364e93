"""The interface of a named data set: its sizes, the places its files may be in, and its reader."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from pathlib import Path

from hscl_fast.config.sections import DataConfig
from hscl_fast.data.types import Source
from hscl_fast.errors import UsageError

Layout = tuple[Path, ...]


@dataclass(frozen=True, kw_only=True)
class NamedDataSet(ABC):
    """A public data set.

    Parameters
    ----------
    name
        Its name on the command line.
    size
        Side of its images in pixels.
    classes
        Number of classes; 1 for a set that only serves as anomalies.
    train, test
        Number of images of the complete data set.
    url
        Its official page.
    how_to_get
        Instruction on how to get it; ``{root}`` stands for the folder that is searched for it.
    """

    name: str
    size: int
    classes: int
    train: int
    test: int
    url: str
    how_to_get: str

    @abstractmethod
    def layouts(self, root: Path, root_given: bool) -> list[Layout]:
        """Return the alternative tuples of files, any one of which is the whole data set.

        Parameters
        ----------
        root
            The folder to look in.
        root_given
            Whether the user named it.
        """

    @abstractmethod
    def load(self, files: Layout, config: DataConfig) -> Source:
        """Read the data set.

        Parameters
        ----------
        files
            One of the layouts, all of whose files exist.
        config
            ``superclasses`` is used by data sets that have them.

        Raises
        ------
        UsageError
            A file is corrupt.
        """

    def find(self, root: Path, root_given: bool) -> Layout:
        """Return the first layout whose files all exist.

        Raises
        ------
        UsageError
            No layout is complete. The message names the missing file of the layout that is nearest to complete.
        """
        layouts = self.layouts(root, root_given)
        for layout in layouts:
            if all(path.is_file() for path in layout):
                return layout
        begun = [layout for layout in layouts if any(path.is_file() for path in layout)]
        missing = [next(path for path in layout if not path.is_file()) for layout in begun or layouts]
        raise UsageError(
            f"{self.name} is missing: no file {' or '.join(map(str, missing))}. It comes from {self.url}. To fix this, "
            f"{self.how_to_get.format(root=root)}, or name the folder that has it with --data.root."
        )

    def corrupt(self, path: Path, reason: str) -> UsageError:
        """Return the error for a file that exists but is not valid."""
        return UsageError(
            f"{path} is not a valid file of {self.name}: {reason}. Delete it and fetch it again from {self.url}."
        )
