"""A user's images, sorted into folders."""

from __future__ import annotations

from pathlib import Path

from hscl_fast.data.decode import EXTENSIONS, find_images
from hscl_fast.data.paths import resolve_inside
from hscl_fast.data.types import ABNORMAL, NORMAL, UNLABELLED
from hscl_fast.data.user.listing import ABNORMAL_NAME, NORMAL_NAME, ListedImage, Listing
from hscl_fast.errors import UsageError

LAYOUT = (
    "train/unlabeled/, train/normal/, train/abnormal/ (any of them may be absent) and test/normal/, test/abnormal/ "
    "(whose sub-folders name kinds of anomaly)"
)
_TRAIN = {"unlabeled": UNLABELLED, "unlabelled": UNLABELLED, "normal": NORMAL, "abnormal": ABNORMAL}
_TEST = {"normal": NORMAL, "abnormal": ABNORMAL}


def list_folder(root: Path) -> Listing:
    """List a folder ``train/{unlabeled,normal,abnormal}/``, ``test/{normal,abnormal}/``.

    The sub-folders of an ``abnormal`` folder name kinds of anomaly; files directly in it are of class ``abnormal``.

    Parameters
    ----------
    root
        The folder.

    Raises
    ------
    UsageError
        There is no ``train`` or nothing in it, a folder or an image lies where none is expected, a link leads out
        of ``root``, or two names lead to the same file.
    """
    if not (root / "train").is_dir():
        raise UsageError(f"{root} has no folder train/. Expected {LAYOUT}. Sort the images into these folders.")
    train = _list_part(root, "train", _TRAIN)
    if not train:
        raise UsageError(f"{root / 'train'} has no image to train on. Expected {LAYOUT}. Put images into train/.")
    listing = Listing("folder", root, train, _list_part(root, "test", _TEST))
    _refuse_repeated(listing)
    return listing


def _list_part(root: Path, part: str, folders: dict[str, int]) -> tuple[ListedImage, ...]:
    if not (root / part).is_dir():
        return ()
    for entry in sorted((root / part).iterdir()):
        stray_image = entry.is_file() and entry.suffix.lower() in EXTENSIONS
        stray_folder = entry.is_dir() and entry.name not in folders
        if not entry.name.startswith(".") and (stray_image or stray_folder):
            raise UsageError(f"{entry} lies where it has no role. Expected {LAYOUT}. Move it into one of them.")
    listed = []
    for name, role in folders.items():
        folder = root / part / name
        if not folder.is_dir():
            continue
        listed += [_listed(root, folder, path, role) for path in find_images(folder)]
    return tuple(sorted(listed, key=lambda image: image.name))


def _listed(root: Path, folder: Path, path: Path, role: int) -> ListedImage:
    real = resolve_inside(root, str(path.absolute()))
    if real is None:
        raise UsageError(
            f"{path} leads outside of {root}, and only files inside are read. Copy the images into the folder in "
            "place of the link."
        )
    inner = path.relative_to(folder).parts[:-1]
    class_name = NORMAL_NAME
    if role == ABNORMAL:
        class_name = inner[0] if inner else ABNORMAL_NAME
        if class_name == NORMAL_NAME:
            raise UsageError(
                f"{folder / class_name} would be a kind of anomaly called normal. Give the folder another name, or "
                "move it out of abnormal/."
            )
    return ListedImage(real.relative_to(root.resolve()).as_posix(), role, class_name)


def _refuse_repeated(listing: Listing) -> None:
    seen: set[str] = set()
    for image in (*listing.train, *listing.test):
        if image.name in seen:
            raise UsageError(
                f"{listing.root / image.name} is reached by two names in {listing.root}, so one image would be used "
                "twice, or both to train and to test. Remove the link to it."
            )
        seen.add(image.name)
