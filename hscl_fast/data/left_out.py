"""What a search for images leaves out, and what is said about it."""

from __future__ import annotations

import json
import re
import shlex
from collections import Counter
from collections.abc import Iterable
from typing import NamedTuple

from hscl_fast.data.types import Remark

_SHOWN = 3  # names
_MASK = re.compile(r".*([_-](mask|gt|ground_truth)\.[^.]*)", re.IGNORECASE)


class _Reason(NamedTuple):
    """What was left out, in the singular and the plural, and how to go on if that is doubtful."""

    one: str
    many: str
    advice: str | None = None


_REASONS = {
    "unreadable": _Reason(
        "image file of a format that cannot be read",
        "image files of formats that cannot be read",
        "convert to PNG or JPEG what is to be read, or confirm with {exclude}",
    ),
    "masks": _Reason(
        "mask beside images",
        "masks beside images",
        "a file NAME_mask or NAME_gt beside NAME, and a folder ground_truth/ or masks/, are not read; give other names "
        "to what is to be read, or confirm with {exclude}",
    ),
    "linked files": _Reason(
        "link to a file outside of the folder",
        "links to files outside of the folder",
        "read what they lead to with {flags}follow_links true, or confirm with {exclude}",
    ),
    "linked folders": _Reason(
        "link to a folder",
        "links to folders",
        "read what is in there with {flags}follow_links true, or confirm with {exclude}",
    ),
    "loops": _Reason("link to a folder that it lies in", "links to folders that they lie in"),
    "thumbnails": _Reason("folder of the system's, such as thumbnails", "folders of the system's, such as thumbnails"),
    "hidden": _Reason("hidden file or folder", "hidden files and folders"),
    "other": _Reason("file that is not an image", "files that are not images"),
    "excluded": _Reason("file or folder, as {flags}exclude says", "files and folders, as {flags}exclude says"),
}


class LeftOut:
    """Names by the reason for which they were left out.

    Parameters
    ----------
    flags
        What the user's options begin with: ``--data.`` or ``--``.
    """

    def __init__(self, flags: str) -> None:
        self._flags = flags
        self._names: dict[str, set[str]] = {reason: set() for reason in _REASONS}

    def note(self, reason: str, name: str) -> None:
        """Add a name, that of a folder with a slash at its end; it counts once."""
        self._names[reason].add(name)

    @property
    def remarks(self) -> tuple[Remark, ...]:
        """One remark for each reason; those that may matter ask the user to look."""
        return tuple(self._remark(reason, sorted(names)) for reason, names in self._names.items() if names)

    def _remark(self, key: str, names: list[str]) -> Remark:
        reason = _REASONS[key]
        what = (reason.one if len(names) == 1 else reason.many).format(flags=self._flags)
        if key == "unreadable":
            what += f" ({', '.join(f'{end} {count:,}' for end, count in _ends(names).most_common())})"
        text = f"left out {len(names):,} {what}: {shown(names)}"
        if reason.advice is None:
            return Remark(text)
        patterns = _patterns(key, names)
        value = patterns[0] if len(patterns) == 1 else json.dumps(patterns)
        advice = reason.advice.format(flags=self._flags, exclude=f"{self._flags}exclude {shlex.quote(value)}")
        return Remark(f"{text}; {advice}", doubt=True)


def shown(names: list[str]) -> str:
    """Return the first names, and how many more there are.

    >>> shown(["a.txt", "b.txt", "c.txt", "d.txt"])
    'a.txt, b.txt, c.txt and 1 more'
    """
    more = f" and {len(names) - _SHOWN:,} more" if len(names) > _SHOWN else ""
    return ", ".join(names[:_SHOWN]) + more


def _ends(names: Iterable[str]) -> Counter[str]:
    return Counter(f".{name.rpartition('.')[2].lower()}" for name in names)


def _patterns(key: str, names: list[str]) -> list[str]:
    """Return patterns that match all the names, and not much else."""
    if key == "unreadable":
        return sorted({f"*.{name.rpartition('.')[2]}" for name in names})
    if key == "masks":
        last = [name.rstrip("/").rpartition("/")[2] + ("/" if name.endswith("/") else "") for name in names]
        return sorted({_MASK.sub(r"*\1", name) for name in last})
    return [_literal(name.rstrip("/")) for name in names] if len(names) <= _SHOWN else ["PATTERN"]


def _literal(name: str) -> str:
    return re.sub(r"([*?[])", r"[\1]", name)
