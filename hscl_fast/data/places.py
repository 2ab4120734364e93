"""Where a run's data lies: found again from another working directory, and after it has moved."""

from __future__ import annotations

import os
from dataclasses import replace

from hscl_fast.config.sections import DataConfig
from hscl_fast.data.named.registry import DATA_SETS, DEFAULT_ROOT
from hscl_fast.data.paths import at_home
from hscl_fast.data.types import Kind
from hscl_fast.errors import UsageError


def absolute_places(config: DataConfig) -> DataConfig:
    """Return the configuration with absolute paths, so that it leads to the same data from any working directory.

    Parameters
    ----------
    config
        ``name`` is left as it is where nothing has that name; a named data set whose files lie below ``./data``, where
        they are looked for without a ``root``, gets that folder as its ``root``.
    """
    name, root = config.name, config.root
    if name in DATA_SETS:
        root = _default_root(name) if root is None else root
    elif os.path.exists(at_home(name)):
        name = _absolute(name)
    record, labels = config.split_record, config.labels
    return replace(
        config,
        name=name,
        root=None if root is None else _absolute(root),
        split_record=None if record is None else _absolute(record),
        labels=None if labels is None else _absolute(labels),
    )


def moved_to(config: DataConfig, kind: Kind, root: str) -> DataConfig:
    """Return the configuration for data that lies elsewhere now.

    Parameters
    ----------
    config
        Where the data was.
    kind
        Its kind, as its split record has it: there may be nothing left where it was.
    root
        The folder itself (``folder``), the folder that the images are in (``csv``), the folder that the file is in, or
        the file (``npz``, ``beton``), or the folder that the files of a named data set are in.

    Raises
    ------
    UsageError
        Nothing that could be the data is there.
    """
    place, file_name = _absolute(root), os.path.basename(config.name)
    if kind == "named":
        return replace(config, root=place)
    inside = os.path.join(place, file_name)
    if kind in ("npz", "beton"):
        file = place if os.path.isfile(place) else inside
        if not os.path.isfile(file):
            raise UsageError(
                f"{root} was given as the new place of {config.name}, but there is no file {inside}. Give the folder "
                f"that {file_name} is in."
            )
        return replace(config, name=file, root=None)
    if not os.path.isdir(place):
        meant = "that folder itself" if kind == "folder" else "the folder that its images are in"
        reason = "it is a file" if os.path.exists(place) else "there is no such folder"
        raise UsageError(
            f"{root} was given as the new place of {config.name}, but {reason}. Give the new path of {meant}."
        )
    if kind == "folder":
        return replace(config, name=place, root=None)
    list_moved_too = not os.path.isfile(at_home(config.name)) and os.path.isfile(inside)
    return replace(config, name=inside if list_moved_too else config.name, root=place)


def _absolute(path: str) -> str:
    return os.path.abspath(at_home(path))


def _default_root(name: str) -> str | None:
    """Return the default root if the files of a named data set are there, rather than in a place of the system's."""
    data_set = DATA_SETS[name]
    for layout in data_set.layouts(DEFAULT_ROOT, False):
        if layout and all(path.is_file() for path in layout):
            return str(DEFAULT_ROOT) if layout[0].is_relative_to(DEFAULT_ROOT) else None
    return None
