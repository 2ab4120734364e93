"""A user's images, listed in a CSV file ``path,label,split``."""

from __future__ import annotations

import csv
import io
import os
from pathlib import Path

from hscl_fast.data.paths import resolve_inside
from hscl_fast.data.types import ABNORMAL, NORMAL, UNLABELLED
from hscl_fast.data.user.listing import ABNORMAL_NAME, NORMAL_NAME, ListedImage, Listing
from hscl_fast.errors import UsageError

_SHOWN = 20  # missing files
_COLUMNS = ("path", "label", "split")
_LABELS = {
    "1": NORMAL,
    "+1": NORMAL,
    "normal": NORMAL,
    "0": UNLABELLED,
    "unlabeled": UNLABELLED,
    "unlabelled": UNLABELLED,
    "-1": ABNORMAL,
    "abnormal": ABNORMAL,
}


def list_csv(path: Path, root: Path, *, allow_missing: bool = False) -> Listing:
    """List the images of a CSV file with the columns ``path``, ``label`` and ``split``.

    Parameters
    ----------
    path
        The file, in UTF-8. ``label`` is 1, 0 or -1, or normal, unlabeled or abnormal; ``split`` is train or test.
    root
        The folder that the paths are relative to and that they may not leave.
    allow_missing
        Also list files that do not exist; reading them fails.

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
    for line, row in _rows(path):
        try:
            image, part = _image(path, line, row, root)
        except UsageError:
            if missing and not allow_missing:
                break  # report the earlier lines
            raise
        if not os.path.isfile(root / image.name):  # pathlib raises for a name that is too long
            missing.append((line, row["path"]))
        if image.name in seen:
            other_line, other_part = seen[image.name]
            reason = "the same image" if part == other_part else "an image that is in train and in test"
            raise _error(path, line, f"{row['path']!r} is {reason} as line {other_line}", "list each image once")
        seen[image.name] = (line, part)
        parts[part].append(image)
    if missing and not allow_missing:
        raise _missing(path, missing, root)
    if not parts["train"]:
        raise UsageError(f"{path} lists no image to train on. Expected lines with train in the column split.")
    return Listing("csv", root, tuple(parts["train"]), tuple(parts["test"]))


def _rows(path: Path) -> list[tuple[int, dict[str, str]]]:
    try:
        raw = path.read_bytes()
        text = raw.decode("utf-8-sig")
    except OSError as error:
        raise UsageError(f"{path} cannot be read ({error.strerror}). Give the path of a CSV file.") from None
    except UnicodeDecodeError as error:
        line = raw.count(b"\n", 0, error.start) + 1
        raise _error(path, line, "the text is not UTF-8", "save the file in UTF-8") from None
    reader = csv.reader(io.StringIO(text, newline=""), strict=True)
    rows = []
    try:
        header = [name.strip().lower() for name in next(reader, [])]
        if missing := [name for name in _COLUMNS if header.count(name) != 1]:
            raise _error(path, 1, f"the header is {','.join(header)!r}", f"give one column {' and '.join(missing)}")
        for fields in reader:
            if not any(field.strip() for field in fields):
                continue
            if len(fields) != len(header):
                reason = f"it has {len(fields)} fields, the header {len(header)}"
                raise _error(path, reader.line_num, reason, "quote paths that contain a comma")
            rows.append((reader.line_num, dict(zip(header, (field.strip() for field in fields), strict=True))))
    except csv.Error as error:
        raise _error(path, reader.line_num, f"it is not valid CSV ({error})", "fix the quotes") from None
    return rows


def _image(path: Path, line: int, row: dict[str, str], root: Path) -> tuple[ListedImage, str]:
    role, part = _LABELS.get(row["label"].lower()), row["split"].lower()
    if role is None:
        reason = f"the label {row['label']!r} is unknown"
        raise _error(path, line, reason, "give 1 or normal, 0 or unlabeled, -1 or abnormal")
    if part not in ("train", "test"):
        raise _error(path, line, f"the split {row['split']!r} is unknown", "give train or test")
    if part == "test" and role == UNLABELLED:
        raise _error(path, line, "a test image is unlabelled", "label it normal or abnormal, or take the line out")
    file = resolve_inside(root, row["path"])
    if not row["path"] or file is None:
        reason = f"the path {row['path']!r} does not lead to a file inside {root}"
        raise _error(path, line, reason, "copy the image into that folder, or name another folder with --data.root")
    class_name = ABNORMAL_NAME if role == ABNORMAL else NORMAL_NAME
    return ListedImage(file.relative_to(root.resolve()).as_posix(), role, class_name), part


def _missing(path: Path, missing: list[tuple[int, str]], root: Path) -> UsageError:
    (line, name), *others = missing
    reason = f"there is no file {name!r} in {root}"
    if others:
        listed = ", ".join(f"line {number} {other!r}" for number, other in others[:_SHOWN])
        more = f" and {len(others) - _SHOWN} more" if len(others) > _SHOWN else ""
        reason += f", nor that of {listed}{more}"
    return _error(path, line, reason, "fix the path, or name the folder it is relative to with --data.root")


def _error(path: Path, line: int, reason: str, fix: str) -> UsageError:
    return UsageError(f"{path}, line {line}: {reason}. Expected the columns path,label,split; to fix this, {fix}.")
