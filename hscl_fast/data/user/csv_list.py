"""A user's images, listed in a CSV file ``path,label,split``."""

from __future__ import annotations

import os
from pathlib import Path

from hscl_fast.counted import counted
from hscl_fast.data.paths import name_inside
from hscl_fast.data.types import ABNORMAL, UNLABELLED, Remark
from hscl_fast.data.user.csv_table import SEPARATORS, read_table, wrong_line
from hscl_fast.data.user.labels import RECODE, ROLE_OF, remark_on_zeros_and_ones
from hscl_fast.data.user.listing import ABNORMAL_NAME, NORMAL_NAME, ListedImage, Listing
from hscl_fast.errors import UsageError

_SHOWN = 20  # missing files
_COLUMNS = ("path", "label", "split")
_Rows = list[tuple[int, dict[str, str]]]


def list_csv(
    path: Path, root: Path, *, allow_missing: bool = False, follow_links: bool = False, only_test: bool = False
) -> Listing:
    """List the images of a CSV file with the columns ``path``, ``label`` and ``split``.

    Parameters
    ----------
    path
        The file, in UTF-8, with commas, semicolons or tabs between the fields, as its header has them. ``label`` is 1,
        0 or -1, or normal, unlabeled or abnormal; ``split`` is train or test.
    root
        The folder that the paths are relative to and that they may not leave. A path that is written with ``\\`` is
        read with ``/`` where that leads to a file.
    allow_missing
        Also list files that do not exist; reading them fails.
    follow_links
        Links in ``root`` may lead out of it.
    only_test
        Leave the lines of training images out, and need none of them.

    Raises
    ------
    UsageError
        The file cannot be read, a column is missing, or a line has an unknown label or split, a path that is
        missing, outside of ``root`` or listed before, or a test image without a label. The message names the line; for
        missing files, every line.
    """
    parts: dict[str, list[ListedImage]] = {"train": [], "test": []}
    seen: dict[str, tuple[int, str]] = {}
    missing: list[tuple[int, str]] = []
    table, separator = read_table(path, _COLUMNS, {"train", "test"})
    rows = [(line, {name: field.strip() for name, field in row.items()}) for line, row in table]
    if only_test:
        rows = [(line, row) for line, row in rows if row["split"].lower() != "train"]
    for line, row in rows:
        try:
            image, part = _image(path, line, row, root, follow_links=follow_links)
        except UsageError:
            if missing and not allow_missing:
                break  # report the earlier lines
            raise
        if not os.path.isfile(root / image.name):  # pathlib raises for a name that is too long
            missing.append((line, row["path"]))
        real = os.path.realpath(root / image.name) if follow_links else image.name
        if real in seen:
            other_line, other_part = seen[real]
            reason = "the same image" if part == other_part else "an image that is in train and in test"
            raise _error(path, line, f"{row['path']!r} is {reason} as line {other_line}", "list each image once")
        seen[real] = (line, part)
        parts[part].append(image)
    if missing and not allow_missing:
        raise _missing(path, missing, root)
    if only_test and not parts["test"]:
        raise UsageError(f"{path} lists no image to test on. Expected lines with test in the column split.")
    if not only_test and not parts["train"]:
        raise UsageError(f"{path} lists no image to train on. Expected lines with train in the column split.")
    return Listing("csv", root, tuple(parts["train"]), tuple(parts["test"]), _remarks(rows, separator, root))


def list_paths(path: Path, root: Path, *, follow_links: bool = False) -> list[tuple[str, bool]]:
    """Return each path of a CSV file that has a column ``path``, whatever else it has, and whether it may be read.

    Parameters
    ----------
    path, root, follow_links
        As for :func:`list_csv`.

    Returns
    -------
    list
        The path, with ``/`` where there is a file of that name only, and whether it leads to a place in ``root``.
        Whether there is a file is not looked at.

    Raises
    ------
    UsageError
        The file cannot be read, or has no column ``path`` or no path.
    """
    rows, _ = read_table(path, ("path",), {"train", "test"})
    if not rows:
        raise UsageError(f"{path} lists no image. Expected a column path with one image per line.")
    names = [_with_slashes(row["path"].strip(), root) for _, row in rows]
    return [(name, bool(name) and name_inside(root, name, follow_links=follow_links) is not None) for name in names]


def _remarks(rows: _Rows, separator: str, root: Path) -> tuple[Remark, ...]:
    remarks = []
    if separator != ",":
        remarks.append(Remark(f"read with {SEPARATORS[separator]} between the fields, as in the header"))
    if windows := sum(_with_slashes(row["path"], root) != row["path"] for _, row in rows):
        remarks.append(Remark(f"read with / in place of \\ in {counted(windows, 'path')}"))
    labels = {row["label"] for _, row in rows}
    if all(label in ("0", "1", "+1") for label in labels):  # not where they are words
        remarks += remark_on_zeros_and_ones({int(label) for label in labels}, "the column label")
    return tuple(remarks)


def _with_slashes(name: str, root: Path) -> str:
    """Return a path that Windows wrote as it is here, if there is such a file and none of the name as it stands."""
    if "\\" not in name or os.path.isfile(root / name):
        return name
    slashed = name.replace("\\", "/")
    return slashed if os.path.isfile(root / slashed) else name


def _image(path: Path, line: int, row: dict[str, str], root: Path, *, follow_links: bool) -> tuple[ListedImage, str]:
    role, part = ROLE_OF.get(row["label"].lower()), row["split"].lower()
    if role is None:
        reason = f"the label {row['label']!r} is unknown"
        raise _error(path, line, reason, "give 1 or normal, 0 or unlabeled, -1 or abnormal")
    if part not in ("train", "test"):
        raise _error(path, line, f"the split {row['split']!r} is unknown", "give train or test")
    if part == "test" and role == UNLABELLED:
        fix = "label it normal or abnormal, or take the line out"
        raise _error(path, line, "a test image is unlabelled", fix + (f"; {RECODE}" if row["label"] == "0" else ""))
    name = name_inside(root, _with_slashes(row["path"], root), follow_links=follow_links)
    if not row["path"] or name is None:
        reason = f"the path {row['path']!r} does not lead to a file inside {_named(root)}"
        fix = "copy the image into that folder, or name another folder with --data.root"
        if os.path.exists(root / row["path"]) and not follow_links:
            fix += "; links in it may lead elsewhere with --data.follow_links true"
        raise _error(path, line, reason, fix)
    class_name = ABNORMAL_NAME if role == ABNORMAL else NORMAL_NAME
    return ListedImage(name, role, class_name), part


def _named(root: Path) -> str:
    return "the working directory" if root == Path() else str(root)


def _missing(path: Path, missing: list[tuple[int, str]], root: Path) -> UsageError:
    (line, name), *others = missing
    reason = f"there is no file {name!r} in {_named(root)}"
    if others:
        listed = ", ".join(f"line {number} {other!r}" for number, other in others[:_SHOWN])
        more = f" and {len(others) - _SHOWN} more" if len(others) > _SHOWN else ""
        reason += f", nor that of {listed}{more}"
    fix = "fix the path, or name the folder it is relative to with --data.root"
    if "\\" in name:
        fix += "; a path of Windows must be made relative to that folder"
    return _error(path, line, reason, fix)


def _error(path: Path, line: int, reason: str, fix: str) -> UsageError:
    return wrong_line(path, line, reason, _COLUMNS, fix)
