"""Finds the image files of a folder, and notes everything that it leaves out."""

from __future__ import annotations

import os
import re
from collections import Counter
from collections.abc import Iterable, Sequence
from fnmatch import fnmatchcase
from pathlib import Path

from hscl_fast.data.left_out import LeftOut
from hscl_fast.data.paths import resolve_inside
from hscl_fast.data.types import Remark
from hscl_fast.errors import UsageError

_READ = "png apng jpg jpeg jpe jfif bmp gif tif tiff webp ppm pgm pbm pnm"
# Images of formats that are not decoded; a user may well expect them to be read.
_NOT_READ = (
    "heic heif hif avif jp2 j2k jpf jpx jxl jxr svg svgz eps psd xcf exr hdr pfm tga dds ico pcx sgi mpo dcm dicom nii "
    "fits czi nd2 svs raw dng cr2 cr3 nef arw orf rw2 raf sr2 pef srw"
)
EXTENSIONS, UNREADABLE = (frozenset(f".{end}" for end in ends.split()) for ends in (_READ, _NOT_READ))
MASK_FOLDERS = frozenset(("ground_truth", "masks"))
_MASK_FILE = re.compile(r"(.+)[_-](mask|gt|ground_truth)", re.IGNORECASE)
_SYSTEM_FOLDERS = frozenset(
    ("@eadir", "#recycle", "#snapshot", "__macosx", "$recycle.bin", "system volume information", "lost+found")
)


class Finder:
    """Searches folders for image files, by extension in upper or lower case, and notes all that it leaves out.

    Parameters
    ----------
    root
        The folder that patterns and remarks name files relative to, and that links may not leave.
    exclude
        Patterns as of the shell, in which ``*`` stands for any text, ``/`` too. One with ``/`` is matched with the path
        relative to ``root``, another with the name alone; a folder that it matches is left out with all that is in it.
    follow_links
        Search folders that links lead to, and read files outside of ``root`` that links lead to.
    flags
        What the user's options begin with, for the messages: ``--data.`` or ``--``.
    """

    def __init__(
        self, root: Path, exclude: Sequence[str] = (), *, follow_links: bool = False, flags: str = "--data."
    ) -> None:
        self.root, self.follow_links, self._flags = root, follow_links, flags
        self._exclude, self._unused = tuple(exclude), set(exclude)
        self._left_out = LeftOut(flags)

    @property
    def remarks(self) -> tuple[Remark, ...]:
        """What was left out so far: how many files for each reason, and the first of them."""
        return self._left_out.remarks

    def require_used(self, *others: Finder) -> None:
        """Raise a :class:`UsageError` where a pattern has matched nothing that was searched so far, here or there."""
        unused = self._unused.intersection(*(other._unused for other in others))
        if listed := [pattern for pattern in self._exclude if pattern in unused]:
            raise UsageError(
                f"{self._flags}exclude has {' and '.join(map(repr, listed))}, which matches nothing that was searched "
                f"in {' and '.join(str(finder.root) for finder in (self, *others))}. A pattern with / is matched with "
                "the path relative to that folder, another with the name alone, and capitals matter. Correct the "
                "pattern, or leave it out."
            )

    def excludes(self, path: Path, *, is_folder: bool = False) -> bool:
        """Whether a pattern matches a file or folder below ``root``."""
        name = path.relative_to(self.root).as_posix()
        matched = [pattern for pattern in self._exclude if _matches(name, pattern, is_folder)]
        self._unused.difference_update(matched)
        return bool(matched)

    def listing(self, folder: Path, *, with_masks: bool = False) -> tuple[list[Path], list[Path]]:
        """Return the folders, links to folders too, and the image files directly in a folder, in sorted order.

        Parameters
        ----------
        folder
            ``root`` or a folder below.
        with_masks
            Also return folders that have the name of one of masks.

        Raises
        ------
        UsageError
            The folder cannot be read.
        """
        folders, images = [], []
        for path, is_folder, is_link in self._entries(folder):
            if reason := self._reason(path, is_folder=is_folder, is_link=is_link):
                self._note(reason, path, is_folder=is_folder)
            elif not is_folder:
                images.append(path)
            elif path.name.lower() in MASK_FOLDERS and not with_masks:
                self._note("masks", path, is_folder=True)
            else:
                folders.append(path)
        masks = _masks_among(images)
        for path in masks:
            self._note("masks", path)
        return folders, [path for path in images if path not in masks]

    def find(self, folder: Path | None = None) -> list[Path]:
        """Return the image files of a folder and its sub-folders, sorted by the parts of their paths.

        Parameters
        ----------
        folder
            ``root`` or a folder below; None: ``root``. Each path begins with it.

        Raises
        ------
        UsageError
            It is not a folder, or it or one of its sub-folders cannot be read.
        """
        start = self.root if folder is None else folder
        if not start.is_dir():
            reason = "it is a file" if start.exists() else "there is no such folder"
            raise UsageError(f"{start} was expected to be a folder of images, but {reason}. Give the path of a folder.")
        found: list[Path] = []
        waiting: list[tuple[Path, tuple[str, ...]]] = [(start, ())]  # and where links were followed on the way to it
        while waiting:
            current, passed = waiting.pop()
            folders, images = self.listing(current)
            found += images
            for inner in folders:
                if not inner.is_symlink():
                    waiting.append((inner, passed))
                    continue
                places = (*passed, os.path.realpath(current))
                target = os.path.realpath(inner)
                if not self.follow_links:
                    self._note("linked folders", inner)
                elif any(Path(place).is_relative_to(target) for place in places):
                    self._note("loops", inner)
                else:
                    waiting.append((inner, places))
        return sorted(found)

    def _entries(self, folder: Path) -> list[tuple[Path, bool, bool]]:
        """Return all that is in a folder, in sorted order, and whether each is a folder and a link."""
        try:
            with os.scandir(folder) as entries:
                listed = [
                    # os.path returns False where an entry raises, as for a loop of links.
                    (Path(folder, entry.name), entry.is_dir(follow_symlinks=False), entry.is_symlink())
                    for entry in entries
                ]
        except OSError as error:
            place = folder.relative_to(self.root).as_posix()
            leave_out = "" if folder == self.root else f", or leave it out with {self._flags}exclude '{place}'"
            raise UsageError(
                f"The folder {folder} cannot be read ({error.strerror or error}), and the images in it would be "
                f"missing. Allow it to be read, as `chmod -R u+rX` does for a folder of your own{leave_out}."
            ) from error
        return sorted(
            (path, is_folder or (is_link and os.path.isdir(path)), is_link) for path, is_folder, is_link in listed
        )

    def _reason(self, path: Path, *, is_folder: bool, is_link: bool) -> str | None:
        if self.excludes(path, is_folder=is_folder):
            return "excluded"
        if is_folder and (path.name.lower() in _SYSTEM_FOLDERS or path.name.lower() == ".thumbnails"):
            return "thumbnails"
        if path.name.startswith("."):
            return "hidden"
        if is_folder:
            return None
        extension = path.suffix.lower()
        if extension not in EXTENSIONS:
            return "unreadable" if extension in UNREADABLE else "other"
        if is_link and not self.follow_links and resolve_inside(self.root, os.path.abspath(path)) is None:
            return "linked files"
        return None

    def _note(self, reason: str, path: Path, *, is_folder: bool = False) -> None:
        self._left_out.note(reason, path.relative_to(self.root).as_posix() + ("/" if is_folder else ""))


def is_excluded(name: str, exclude: Sequence[str]) -> bool:
    """Whether patterns of ``exclude`` match a file, or a folder that it is in.

    >>> is_excluded("train/normal/0_mask.png", ["*_mask.png"]), is_excluded("old/1.png", ["old"])
    (True, True)
    """
    parts = name.split("/")
    places = ["/".join(parts[: count + 1]) for count in range(len(parts))]
    return any(_matches(place, pattern, is_folder=place != name) for pattern in exclude for place in places)


def _matches(name: str, pattern: str, is_folder: bool) -> bool:
    if pattern.endswith("/") and not is_folder:
        return False
    pattern = pattern.removeprefix("./").rstrip("/")
    return fnmatchcase(name if "/" in pattern else name.rpartition("/")[2], pattern)


def _masks_among(images: Iterable[Path]) -> set[Path]:
    """Return the files whose names say that they are masks of another file in the same folder."""
    stems = Counter(path.stem for path in images)
    return {
        path for path in images if (match := _MASK_FILE.fullmatch(path.stem)) is not None and match.group(1) in stems
    }
