"""The paths among the options: ``~`` in them, and those that mean something else than a user expects."""

from __future__ import annotations

import os

from jsonargparse import Namespace

from hscl_fast.errors import UsageError

# The options that are paths, the lists of paths too.
_PATHS = (
    *("out", "report", "save_images", "root", "from", "RUN", "PATH", "FOLDER", "DATA", "data"),
    *("data.name", "data.root", "data.split_record", "data.labels", "model.warm_start"),
)
# What the commands write that cannot be printed.
_WRITTEN = {
    "train": "a run directory",
    "eval": "a folder",
    "review": "an HTML file",
    "watch": "a CSV file that it continues after a restart",
    "compare": "an HTML page",
    "export": "a model",
    "reproduce": "a folder",
    "data prepare": "a .beton and a file beside it",
    "data views": "a PNG file",
}


def at_home(options: Namespace) -> None:
    """Replace a leading ``~`` in paths; a shell does it in ``--out ~/x`` but not in ``--out=~/x``."""
    for name in _PATHS:
        value = options.get(name)
        if isinstance(value, str):
            options[name] = os.path.expanduser(value)
        elif isinstance(value, list):
            options[name] = [os.path.expanduser(path) for path in value]


def check_paths(command: str, options: Namespace) -> None:
    """Refuse an empty path, which the system takes for the working directory, and ``--out -`` where nothing prints.

    Raises
    ------
    UsageError
        A path is empty, or is ``-``.
    """
    for name in _PATHS:
        value = options.get(name)
        if "" in (value if isinstance(value, list) else [value]):
            flag = name if name.isupper() else f"--{name}"
            raise UsageError(f"{flag} is empty, but must be a path. Give one; . is the working directory.")
    if options.get("out") == "-" and command in _WRITTEN:
        raise UsageError(
            f"--out is -, the standard output, but `hscl {command}` writes {_WRITTEN[command]}. Give a path, or ./- if "
            "that is its name."
        )
