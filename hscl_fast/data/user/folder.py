"""A user's images, sorted into folders."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

from hscl_fast.data.find import Finder
from hscl_fast.data.paths import name_inside
from hscl_fast.data.types import ABNORMAL
from hscl_fast.data.user.layouts import TESTED, UNDERSTOOD, Folder, recognise, recognise_test
from hscl_fast.data.user.listing import ABNORMAL_NAME, NORMAL_NAME, ListedImage, Listing
from hscl_fast.errors import UsageError


def list_folder(root: Path, exclude: Sequence[str] = (), *, follow_links: bool = False) -> Listing:
    """List the images of a folder in one of the layouts of :mod:`hscl_fast.data.user.layouts`.

    The sub-folders of an ``abnormal`` folder name kinds of anomaly; files directly in it are of class ``abnormal``.

    Parameters
    ----------
    root
        The folder.
    exclude, follow_links
        See :class:`hscl_fast.data.find.Finder`.

    Raises
    ------
    UsageError
        The layout is not understood, there is nothing to train on, a folder or an image lies where none is expected, a
        link leads out of ``root``, two names lead to the same file, a folder cannot be read, or a
        pattern matches nothing.
    """
    finder = Finder(root, exclude, follow_links=follow_links)
    layout = recognise(finder)
    train, test = _list_part(finder, layout.train), _list_part(finder, layout.test)
    finder.require_used()
    if not train:
        left_out = "".join(f" It {remark.text}." for remark in finder.remarks)
        raise UsageError(f"{root} has no image to train on.{left_out} Expected {UNDERSTOOD}. Put images into train/.")
    listing = Listing("folder", root, train, test, (*layout.remarks, *finder.remarks))
    _refuse_repeated(listing)
    return listing


def list_test_folder(root: Path, exclude: Sequence[str] = (), *, follow_links: bool = False) -> Listing:
    """List the images of a folder that a trained run is tested on, as :func:`list_folder` does; none to train on.

    ``exclude`` may have patterns that match nothing, since it is that of the run.
    """
    finder = Finder(root, exclude, follow_links=follow_links)
    layout = recognise_test(finder)
    test = _list_part(finder, layout.test)
    if not test:
        left_out = "".join(f" It {remark.text}." for remark in finder.remarks)
        raise UsageError(f"{root} has no image to test on.{left_out} Expected {TESTED}. Put images into these folders.")
    listing = Listing("folder", root, (), test, (*layout.remarks, *finder.remarks))
    _refuse_repeated(listing)
    return listing


def _list_part(finder: Finder, folders: tuple[Folder, ...]) -> tuple[ListedImage, ...]:
    listed = [_listed(finder, folder, path) for folder in folders for path in finder.find(folder.path)]
    return tuple(sorted(listed, key=lambda image: image.name))


def _listed(finder: Finder, folder: Folder, path: Path) -> ListedImage:
    name = name_inside(finder.root, os.path.abspath(path), follow_links=finder.follow_links)
    if name is None:
        raise UsageError(
            f"{path} leads outside of {finder.root}, and only files inside are read. Copy the images into the folder "
            "in place of the link, or have links followed with --data.follow_links true."
        )
    class_name = NORMAL_NAME
    if folder.role == ABNORMAL:
        inner = path.relative_to(folder.path).parts[:-1]
        class_name = folder.kind or (inner[0] if inner else ABNORMAL_NAME)
        if class_name == NORMAL_NAME:
            raise UsageError(
                f"{folder.path / class_name} would be a kind of anomaly called normal. Give the folder another name, "
                f"or move it out of {folder.path.name}/."
            )
    return ListedImage(name, folder.role, class_name)


def _refuse_repeated(listing: Listing) -> None:
    seen: set[str] = set()
    for image in (*listing.train, *listing.test):
        real = os.path.realpath(listing.root / image.name)
        if real in seen:
            raise UsageError(
                f"{listing.root / image.name} is reached by two names in {listing.root}, so one image would be used "
                "twice, or both to train and to test. Remove the link to it."
            )
        seen.add(real)
