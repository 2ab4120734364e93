"""What a hostile case is: files, the command that reads them, and how the command has to end."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

REFUSED, ACCEPTED, PARTLY = 2, 0, 3
ERROR_LIMIT = 10_000  # characters; an error is a paragraph, not a listing


@dataclass(frozen=True)
class Box:
    """The places of one case.

    Attributes
    ----------
    work
        The working directory of the command, where the case writes its files.
    outside
        A folder beside it, in which nothing may appear or change; has ``secret.png`` and ``secret.txt``.
    model
        A folder to copy from: ``photos`` (a user's data), ``photos.beton`` with its sidecar, ``run`` (trained on it).
    """

    work: Path
    outside: Path
    model: Path

    @property
    def harm(self) -> Path:
        """The file by which executed code is noticed."""
        return self.outside / "executed"


@dataclass(frozen=True)
class Case:
    """One hostile input.

    Attributes
    ----------
    kind, name
        Together they are the id.
    make
        Writes the files.
    command
        What the user runs, in ``box.work``.
    status
        The exit code: 2 where the input must be refused, 0 where it has to be read, 3 where an image has no score.
    culprit
        What the error must name.
    may_change
        Files and folders in the working directory that the command may write to.
    slow
        Makes or reads hundreds of megabytes.
    """

    kind: str
    name: str
    make: Callable[[Box], object]
    command: tuple[str, ...]
    status: int = REFUSED
    culprit: str = ""
    may_change: tuple[str, ...] = ()
    slow: bool = False

    @property
    def id(self) -> str:
        """Kind and name."""
        return f"{self.kind}-{self.name}"
