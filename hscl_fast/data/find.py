"""Finds the image files of a folder."""

from __future__ import annotations

import os
import warnings
from pathlib import Path

from hscl_fast.data.paths import resolve_inside
from hscl_fast.errors import UsageError

EXTENSIONS = frozenset((".png", ".jpg", ".jpeg", ".bmp", ".gif", ".tif", ".tiff", ".webp", ".ppm", ".pgm", ".pbm"))


def find_images(path: str | Path) -> list[Path]:
    """Find the image files of a folder and its sub-folders, in sorted order.

    Files are chosen by extension, in upper or lower case; hidden files and folders are skipped. Links to folders are
    not followed. A link to a file outside the folder is left out with a warning that names it.

    Parameters
    ----------
    path
        The folder.

    Returns
    -------
    list of Path
        Each begins with ``path``; sorted by the parts of the path.

    Raises
    ------
    UsageError
        ``path`` is not a folder.
    """
    folder = Path(path)
    if not folder.is_dir():
        reason = "it is a file" if folder.exists() else "there is no such folder"
        raise UsageError(f"{folder} was expected to be a folder of images, but {reason}. Give the path of a folder.")
    found: list[Path] = []
    outside: list[Path] = []
    for parent, folders, names in os.walk(folder):
        folders[:] = [name for name in folders if not name.startswith(".")]
        for name in names:
            file = Path(parent, name)
            if name.startswith(".") or file.suffix.lower() not in EXTENSIONS:
                continue
            leads_out = file.is_symlink() and resolve_inside(folder, str(file.absolute())) is None
            (outside if leads_out else found).append(file)
    if outside:
        warnings.warn(
            f"{len(outside)} links in {folder} lead outside of it and were left out, the first one {min(outside)}; "
            "to have these files read, copy them into the folder",
            stacklevel=2,
        )
    return sorted(found)
