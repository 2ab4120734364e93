"""Resolves what a user names as images to score: files, folders, patterns, lists of paths, CSV, NPZ and beton files."""

from __future__ import annotations

import glob
import os
from collections.abc import Sequence
from pathlib import Path

from hscl_fast.data.find import Finder
from hscl_fast.data.new_images import ArrayImage, FileImage, NewImage, RefusedImage
from hscl_fast.data.paths import at_home
from hscl_fast.data.types import AnyImages, Remark
from hscl_fast.data.user.csv_list import list_paths
from hscl_fast.data.user.npz import load_npz_images
from hscl_fast.errors import UsageError
from hscl_fast.limited_file import read_limited

_LARGEST_LIST = 256 << 20  # bytes
_EXPECTED = "Give image files, folders, a pattern such as 'photos/*.png', @list.txt, or a .csv, .npz or .beton file."


class GivenImages:
    """The images that a user names.

    Parameters
    ----------
    given
        Each is the path of an image file, of a folder, or of a ``.csv`` (with a column ``path``), ``.npz`` or
        ``.beton`` file; a pattern as of the shell, where ``**`` stands for folders; or ``@list.txt``, a file with one
        path of a file or folder per line, relative to the working directory. A file whose name looks like a pattern
        or a list is taken for itself.
    exclude, follow_links
        What to leave out of folders, and whether links in them are followed: see :class:`hscl_fast.data.find.Finder`.
    root
        The folder that the paths of a CSV file are relative to and may not leave; None: the CSV file's own.

    Attributes
    ----------
    images
        In the order given, those of a folder or pattern sorted by path; an image that is named twice is there once.
        Files need not exist where a list names them, nor be images.
    remarks
        What was left out of folders.

    Raises
    ------
    UsageError
        A path does not exist, a pattern matches nothing, a folder, list or file has no images or is damaged, or an
        option does nothing.
    """

    def __init__(
        self,
        given: Sequence[str | Path],
        *,
        exclude: Sequence[str] = (),
        follow_links: bool = False,
        root: Path | None = None,
    ) -> None:
        self._exclude, self._follow_links, self._root = exclude, follow_links, root
        self._finders: list[Finder] = []
        self._betons: dict[str, int] = {}  # the side of the images in each
        self._listed = False
        # Paths that do not exist come first, so that a long list is not searched in vain.
        groups = [_existing(str(at_home(path))) for path in given]
        found = [image for group in groups for path in group for image in self._open(path)]
        self._require_options_used()
        unique: dict[str, NewImage] = {}
        for image in found:
            unique.setdefault(image.name, image)
        self.images = list(unique.values())

    @property
    def remarks(self) -> tuple[Remark, ...]:
        return tuple(remark for finder in self._finders for remark in finder.remarks)

    def require_size(self, size: int) -> None:
        """Raise a :class:`UsageError` where a ``.beton`` has images of another size than the run was trained on."""
        for path, own in self._betons.items():
            if own != size:
                raise UsageError(
                    f"The images of {path} have {own} x {own} pixels, but the run was trained on {size} x {size}. "
                    f"Prepare the data again with `hscl data prepare --image_size {size}`."
                )

    def _open(self, path: str) -> list[NewImage]:
        if path.startswith("@") and not os.path.lexists(path):
            return self._read_list(at_home(path[1:]))
        kind = os.path.splitext(path)[1].lower()
        if os.path.isdir(path):
            return self._search(Path(path))
        if kind == ".csv":
            return self._read_csv(Path(path))
        if kind == ".npz":
            stored = load_npz_images(Path(path))
            return _in_array(path, stored.images, stored.names)
        if kind == ".beton":
            return self._read_beton(Path(path))
        return [FileImage(Path(path))]

    def _search(self, folder: Path) -> list[NewImage]:
        finder = Finder(folder, self._exclude, follow_links=self._follow_links, flags="--")
        self._finders.append(finder)
        files = finder.find()
        if not files:
            raise UsageError(f"The folder {folder} holds no image files. {_EXPECTED}")
        return [FileImage(file) for file in files]

    def _read_list(self, path: Path) -> list[NewImage]:
        try:
            content = read_limited(path, _LARGEST_LIST)
        except OSError as error:
            raise UsageError(
                f"@{path}: the list {path} cannot be read ({error.strerror}). Give a text file with one path per line."
            ) from None
        separator = b"\0" if b"\0" in content else b"\n"  # as `find -print0` writes it, for names with line breaks
        names = [os.fsdecode(line.removesuffix(b"\r")) for line in content.split(separator)]
        names = [name for name in names if name.strip()]
        if not names:
            raise UsageError(f"@{path}: the list has no path in it. Write one path per line.")
        found: list[NewImage] = []
        for name in names:
            found += self._search(Path(name)) if os.path.isdir(name) else [FileImage(at_home(name))]
        return found

    def _read_csv(self, path: Path) -> list[NewImage]:
        self._listed = True
        root = path.parent if self._root is None else self._root
        found: list[NewImage] = []
        for name, inside in list_paths(path, root, follow_links=self._follow_links):
            if inside:
                found.append(FileImage(root / name))
            else:
                reason = f"it does not lead to a file inside {root}; name another folder with --root"
                found.append(RefusedImage(name, reason))
        return found

    def _read_beton(self, path: Path) -> list[NewImage]:
        from hscl_fast.data.beton.reader import open_user_beton  # a tenth of the time to the first score of a file

        source = open_user_beton(path).source
        self._betons[str(path)] = source.train.images.shape[1]
        return [
            image
            for part, stored in (("train", source.train), ("test", source.test))
            for image in _in_array(f"{path}/{part}", stored.images, stored.names)
        ]

    def _require_options_used(self) -> None:
        searched = bool(self._finders)
        if self._exclude and not searched:
            raise UsageError(
                f"--exclude is {list(self._exclude)}, but no PATH is a folder, so it would do nothing. Leave it out, "
                "or give a folder."
            )
        if self._follow_links and not (searched or self._listed):
            raise UsageError(
                "--follow_links is True, but no PATH is a folder or a .csv, so it would do nothing. Leave it out, or "
                "give a folder."
            )
        if self._root is not None and not self._listed:
            raise UsageError(
                f"--root is {self._root}, but no PATH is a .csv, so it would do nothing. Leave it out: other paths are "
                "relative to the working directory."
            )
        if searched:
            first, *others = self._finders
            first.require_used(*others)


def _existing(path: str) -> list[str]:
    """Return the paths that one argument stands for.

    Raises
    ------
    UsageError
        There is none.
    """
    if os.path.lexists(path):
        return [path]
    if path.startswith("@"):
        if not os.path.isfile(at_home(path[1:])):
            raise UsageError(f"{path}: there is no list {path[1:]}. Give a text file with one path per line.")
        return [path]
    if not glob.has_magic(path):
        raise UsageError(f"{path} does not exist. {_EXPECTED}")
    if not (matched := sorted(glob.glob(path, recursive=True))):
        raise UsageError(f"The pattern {path} matches no file. Check it, and the folder that it begins with.")
    return matched


def _in_array(place: str, images: AnyImages, names: Sequence[str]) -> list[NewImage]:
    return [ArrayImage(f"{place}/{name}", images, row) for row, name in enumerate(names)]
