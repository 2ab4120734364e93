"""A user's own data: a folder, a ``.csv`` or an ``.npz`` file, told apart by what ``--data.name`` leads to."""

from __future__ import annotations

import os
from pathlib import Path

from hscl_fast.config import DataConfig
from hscl_fast.data.csv_list import list_csv
from hscl_fast.data.folder import list_folder
from hscl_fast.data.image_set import UserImages
from hscl_fast.data.npz import load_npz
from hscl_fast.data.sources import SOURCES
from hscl_fast.errors import UsageError

DEFAULT_SIZE = 32
_SMALLEST = 8


def kind_of(config: DataConfig) -> str:
    """Return ``named``, ``folder``, ``csv`` or ``npz``.

    Raises
    ------
    UsageError
        ``config.name`` is none of these.
    """
    if config.name in SOURCES:
        return "named"
    path = Path(config.name).expanduser()
    if os.path.isdir(path):  # pathlib raises for a name that is too long
        return "folder"
    kind = path.suffix.lower().lstrip(".")
    if kind in ("csv", "npz") and os.path.isfile(path):
        return kind
    raise UsageError(
        f"--data.name is {config.name!r}, which is neither a data set nor a folder, a .csv or an .npz file that "
        f"exists. Give one of {', '.join(SOURCES)}, or the path of your own data."
    )


def files_root(config: DataConfig) -> Path:
    """Return the folder that the image files of a folder or CSV data set must lie in."""
    path = Path(config.name).expanduser()
    if kind_of(config) == "folder":
        return path
    return path.parent if config.root is None else Path(config.root).expanduser()


def load_user_images(config: DataConfig) -> UserImages:
    """Read the user's own data with the roles that come with it.

    Parameters
    ----------
    config
        ``name``, ``root`` (of a CSV file) and ``image_size`` count. Image files are decoded at ``image_size``, 32
        when unset; the arrays of an ``.npz`` file keep their own size.

    Raises
    ------
    UsageError
        The data does not exist, or is not as :func:`list_folder`, :func:`list_csv` or :func:`load_npz` expect it.
    """
    kind, path = kind_of(config), Path(config.name).expanduser()
    if kind == "npz":
        return _load_npz_of_fit_size(path, config)
    listing = list_csv(path, files_root(config)) if kind == "csv" else list_folder(path)
    return listing.load(config.image_size or DEFAULT_SIZE)


def _load_npz_of_fit_size(path: Path, config: DataConfig) -> UserImages:
    user = load_npz(path)
    height, width = user.source.train.images.shape[1:3]
    if config.image_size is None and height == width < _SMALLEST:
        raise UsageError(
            f"{path} has images of {height} x {width} pixels, smaller than the {_SMALLEST} that training needs. Give "
            "--data.image_size, to which they are enlarged."
        )
    return user
