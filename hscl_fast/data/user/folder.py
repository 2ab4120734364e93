"""A user's images, sorted into folders."""

from __future__ import annotations

from pathlib import Path

from hscl_fast.data.find import EXTENSIONS, find_images
from hscl_fast.data.paths import resolve_inside
from hscl_fast.data.types import ABNORMAL
from hscl_fast.data.user.layouts import UNDERSTOOD, Folder, recognise
from hscl_fast.data.user.listing import ABNORMAL_NAME, NORMAL_NAME, ListedImage, Listing
from hscl_fast.errors import UsageError


def list_folder(root: Path) -> Listing:
    """List the images of a folder in one of the layouts of :mod:`hscl_fast.data.user.layouts`.

    The sub-folders of an ``abnormal`` folder name kinds of anomaly; files directly in it are of class ``abnormal``.

    Parameters
    ----------
    root
        The folder.

    Raises
    ------
    UsageError
        The layout is not understood, there is nothing to train on, a folder or an image lies where none is expected, a
        link leads out of ``root``, or two names lead to the same file.
    """
    layout = recognise(root, EXTENSIONS)
    train = _list_part(root, layout.train)
    if not train:
        raise UsageError(f"{root} has no image to train on. Expected {UNDERSTOOD}. Put images into train/.")
    listing = Listing("folder", root, train, _list_part(root, layout.test), layout.remarks)
    _refuse_repeated(listing)
    return listing


def _list_part(root: Path, folders: tuple[Folder, ...]) -> tuple[ListedImage, ...]:
    listed = [_listed(root, folder, path) for folder in folders for path in find_images(folder.path)]
    return tuple(sorted(listed, key=lambda image: image.name))


def _listed(root: Path, folder: Folder, path: Path) -> ListedImage:
    real = resolve_inside(root, str(path.absolute()))
    if real is None:
        raise UsageError(
            f"{path} leads outside of {root}, and only files inside are read. Copy the images into the folder in "
            "place of the link."
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
    return ListedImage(real.relative_to(root.resolve()).as_posix(), folder.role, class_name)


def _refuse_repeated(listing: Listing) -> None:
    seen: set[str] = set()
    for image in (*listing.train, *listing.test):
        if image.name in seen:
            raise UsageError(
                f"{listing.root / image.name} is reached by two names in {listing.root}, so one image would be used "
                "twice, or both to train and to test. Remove the link to it."
            )
        seen.add(image.name)
