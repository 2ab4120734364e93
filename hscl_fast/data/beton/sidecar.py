"""The JSON beside a ``.beton``: its checksum, classes, true labels and names, and where it came from."""

from __future__ import annotations

import json
import re
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, NoReturn

from hscl_fast.data.types import ABNORMAL, NORMAL, UNLABELLED
from hscl_fast.errors import UsageError

FORMAT = "hscl-beton"
VERSION = 1


@dataclass(frozen=True)
class BetonManifest:
    """What a ``.beton`` holds.

    Parameters
    ----------
    sha256, bytes
        Of the ``.beton`` file.
    image_size
        Side of every image in pixels.
    encoding, quality
        ``raw`` or ``jpeg``, and the JPEG quality or None.
    class_names, normal_class
        The classes, and the id of the one that counts as normal.
    train
        Columns ``name``, ``label`` (true class id, -1 where unknown) and ``role``, in the file's order.
    test
        Columns ``name`` and ``label``.
    origin
        The configuration it was made from.
    skipped
        ``file`` and ``reason`` of every image that was left out.
    """

    sha256: str
    bytes: int
    image_size: int
    encoding: str
    quality: int | None
    class_names: list[str]
    normal_class: int
    train: dict[str, list[Any]]
    test: dict[str, list[Any]]
    origin: dict[str, Any]
    skipped: list[dict[str, str]]

    def to_json(self) -> dict[str, Any]:
        """Return plain JSON values."""
        counts = {"train": len(self.train["name"]), "test": len(self.test["name"])}
        return {"format": FORMAT, "version": VERSION, "counts": counts, **asdict(self)}


_TYPES: dict[str, tuple[type, ...]] = {
    "format": (str,),
    "version": (int,),
    "counts": (dict,),
    "sha256": (str,),
    "bytes": (int,),
    "image_size": (int,),
    "encoding": (str,),
    "quality": (int, type(None)),
    "class_names": (list,),
    "normal_class": (int,),
    "train": (dict,),
    "test": (dict,),
    "origin": (dict,),
    "skipped": (list,),
}
_COLUMNS = {"train": {"name": str, "label": int, "role": int}, "test": {"name": str, "label": int}}


def manifest_path(beton: Path) -> Path:
    """Return the path of the JSON beside a ``.beton``."""
    return beton.with_name(beton.name + ".json")


def read_beton_manifest(beton: Path) -> BetonManifest:
    """Read the JSON beside a ``.beton`` and trust nothing in it.

    Raises
    ------
    UsageError
        It is missing or no such JSON, or a value has the wrong type, is out of range or contradicts another.
    """
    path = manifest_path(beton)
    check = _Checker(path)
    check.require(path.is_file(), "there is no such file")
    try:
        plain = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        check.refuse(f"it cannot be read ({error.strerror})")
    except (ValueError, RecursionError) as error:
        check.refuse(f"it is no JSON ({error})")
    check.require(type(plain) is dict, "it is no JSON object")
    _check_head(check, plain)
    for part, columns in _COLUMNS.items():
        _check_part(check, part, plain, columns)
    _check_roles(check, plain)
    return BetonManifest(**{key: plain[key] for key in BetonManifest.__dataclass_fields__})


class _Checker:
    """Refuses the manifest at ``path`` by name."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def refuse(self, reason: str) -> NoReturn:
        raise UsageError(
            f"{self.path} is no valid manifest of a .beton: {reason}. Expected the unchanged file that `hscl data "
            "prepare` wrote beside it; copy both files again, or prepare the data again."
        )

    def require(self, condition: bool, reason: str) -> None:
        if not condition:
            self.refuse(reason)


def _check_head(check: _Checker, plain: dict[str, Any]) -> None:
    if different := sorted(plain.keys() ^ _TYPES.keys()):
        check.refuse(f"the key {different[0]!r} is {'unknown' if different[0] in plain else 'missing'}")
    for key, types in _TYPES.items():
        # By exact type: True is an int to Python, and a mistake here.
        check.require(type(plain[key]) in types, f"{key} has the wrong type, {type(plain[key]).__name__}")
    check.require(plain["format"] == FORMAT, f"its format is {plain['format']!r}, expected {FORMAT!r}")
    check.require(plain["version"] == VERSION, f"its version is {plain['version']}, expected {VERSION}")
    check.require(bool(re.fullmatch("[0-9a-f]{64}", plain["sha256"])), "sha256 is no sha256")
    check.require(plain["bytes"] > 0, f"bytes is {plain['bytes']}")
    check.require(8 <= plain["image_size"] <= 1024, f"image_size is {plain['image_size']}, expected 8 to 1024")
    check.require(plain["encoding"] in ("raw", "jpeg"), f"encoding is {plain['encoding']!r}, expected raw or jpeg")
    names = plain["class_names"]
    check.require(bool(names) and all(type(name) is str for name in names), "class_names is no list of names")
    check.require(len(set(names)) == len(names), "class_names has a name twice")
    normal = plain["normal_class"]
    check.require(0 <= normal < len(names), f"normal_class is {normal}, but there are {len(names)} classes")


def _check_part(check: _Checker, part: str, plain: dict[str, Any], columns: dict[str, type]) -> None:
    table = plain[part]
    check.require(table.keys() == columns.keys(), f"{part} has the columns {sorted(table)}, not {sorted(columns)}")
    for name, kind in columns.items():
        values = table[name]
        valid = type(values) is list and all(type(value) is kind for value in values)
        check.require(valid, f"{part}.{name} is no list of {kind.__name__}")
        count = plain["counts"].get(part)
        check.require(len(values) == count, f"{part}.{name} has {len(values)} values, but counts.{part} is {count!r}")


def _check_roles(check: _Checker, plain: dict[str, Any]) -> None:
    train, normal, classes = plain["train"], plain["normal_class"], len(plain["class_names"])
    check.require(bool(train["name"]), "train has no image")
    for name, label, role in zip(train["name"], train["label"], train["role"], strict=True):
        check.require(role in (NORMAL, UNLABELLED, ABNORMAL), f"the role of {name!r} is {role}, expected 1, 0 or -1")
        lowest = -1 if role == UNLABELLED else 0
        check.require(lowest <= label < classes, f"the label of {name!r} is {label}, which is no class")
        contradicts = (role == NORMAL and label != normal) or (role == ABNORMAL and label == normal)
        check.require(not contradicts, f"{name!r} has role {role} but is of class {label}")
    for name, label in zip(plain["test"]["name"], plain["test"]["label"], strict=True):
        check.require(0 <= label < classes, f"the label of test image {name!r} is {label}, which is no class")
