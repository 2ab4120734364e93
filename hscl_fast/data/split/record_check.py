"""Reads a manifest back and trusts nothing in it."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any, NoReturn

from hscl_fast.data.paths import is_plain_relative
from hscl_fast.data.split.record import FILE_KINDS, FORMAT, KINDS, VERSION, checksum
from hscl_fast.data.types import ABNORMAL, NORMAL, UNLABELLED
from hscl_fast.errors import UsageError

_TYPES: dict[str, tuple[type, ...]] = {
    "format": (str,),
    "version": (int,),
    "name": (str,),
    "kind": (str,),
    "protocol": (str,),
    "seed": (int,),
    "labelled_ratio": (float, int, type(None)),
    "pollution_ratio": (float, int, type(None)),
    "held_out_ratio": (float, int),
    "class_names": (list,),
    "normal_class": (int,),
    "known_abnormal_class": (int, type(None)),
    "train": (dict,),
    "test": (dict,),
    "sha256": (str,),
    "checksum": (str,),
}
_COLUMNS = {"train": ("image", "part", "role", "label"), "test": ("image", "label")}


class _Checker:
    """Refuses the manifest at ``path`` by name."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def refuse(self, reason: str) -> NoReturn:
        raise UsageError(
            f"{self.path} is no valid split manifest: {reason}. Give the unchanged split.json of a run to "
            "--data.manifest, or leave it out to draw a new split."
        )

    def require(self, condition: bool, reason: str) -> None:
        if not condition:
            self.refuse(reason)


def read_manifest(path: str | Path) -> dict[str, Any]:
    """Read a manifest and verify all that can be verified without the data set.

    Parameters
    ----------
    path
        A ``split.json``.

    Returns
    -------
    dict
        As :func:`hscl_fast.data.split.record.build_manifest` returns it.

    Raises
    ------
    UsageError
        The file is missing or no manifest, was changed by hand, has a value of the wrong type or out of range, a
        repeated image, an image both in train and in test, or a path that is not plainly relative.
    """
    check = _Checker(Path(path))
    manifest = _parse(check)
    _check_head(check, manifest)
    for part, columns in _COLUMNS.items():
        _check_columns(check, part, manifest[part], columns)
    _check_images(check, manifest)
    _check_labels(check, manifest)
    check.require(manifest["checksum"] == checksum(manifest), "its checksum does not fit: it was changed by hand")
    return manifest


def _parse(check: _Checker) -> dict[str, Any]:
    try:
        manifest = json.loads(check.path.read_text(encoding="utf-8"), parse_constant=_refuse_constant)
    except OSError as error:
        check.refuse(f"it cannot be read ({error.strerror})")
    except (ValueError, RecursionError) as error:
        check.refuse(f"it is no JSON ({error})")
    check.require(isinstance(manifest, dict), "it is no JSON object")
    return manifest


def _refuse_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is no JSON number")


def _check_head(check: _Checker, manifest: dict[str, Any]) -> None:
    check.require(manifest.get("format") == FORMAT, f"its format is {manifest.get('format')!r}, expected {FORMAT!r}")
    version = manifest.get("version")
    check.require(type(version) is int and version == VERSION, f"its version is {version!r}, expected {VERSION}")
    if different := sorted(manifest.keys() ^ _TYPES.keys()):
        check.refuse(f"the key {different[0]!r} is {'unknown' if different[0] in manifest else 'missing'}")
    for key, types in _TYPES.items():
        # By exact type: True is an int to Python, and a mistake here.
        check.require(type(manifest[key]) in types, f"{key} is {_short(manifest[key])}, of the wrong type")
    check.require(manifest["kind"] in KINDS, f"kind is {manifest['kind']!r}, expected one of {', '.join(KINDS)}")
    protocols = ("elsa", "released") if manifest["kind"] == "named" else ("given",)
    protocol = manifest["protocol"]
    check.require(protocol in protocols, f"protocol is {protocol!r}, expected {' or '.join(protocols)}")
    names = manifest["class_names"]
    check.require(bool(names) and all(type(name) is str for name in names), "class_names are no list of names")
    check.require(len(set(names)) == len(names), "class_names has a name twice")
    for key in ("normal_class", "known_abnormal_class"):
        value = manifest[key]
        check.require(value is None or 0 <= value < len(names), f"{key} is {value}, but there are {len(names)} classes")
    check.require(bool(re.fullmatch("[0-9a-f]{64}", manifest["sha256"])), "sha256 is no sha256")


def _check_columns(check: _Checker, part: str, table: dict[str, Any], columns: tuple[str, ...]) -> None:
    check.require(set(table) == set(columns), f"{part} has the columns {sorted(table)}, expected {sorted(columns)}")
    for column, values in table.items():
        check.require(type(values) is list, f"{part}.{column} is no list")
        count = len(table["image"])
        check.require(len(values) == count, f"{part} has {count} images but {len(values)} values of {column}")


def _check_images(check: _Checker, manifest: dict[str, Any]) -> None:
    by_path = manifest["kind"] in FILE_KINDS
    for part in _COLUMNS:
        for image in manifest[part]["image"]:
            if by_path:
                plain = type(image) is str and is_plain_relative(image)
                check.require(plain, f"{part}.image has {_short(image)}, expected a path inside the data's folder")
            else:
                valid = type(image) is int and image >= 0
                check.require(valid, f"{part}.image has {_short(image)}, expected an index, 0 or more")
        if repeated := _first_repeated(manifest[part]["image"]):
            check.refuse(f"{part} has the image {repeated[0]!r} twice")
    check.require(bool(manifest["train"]["image"]), "train has no image")
    both = set(manifest["train"]["image"]) & set(manifest["test"]["image"])
    # Indices of train and test count in different arrays.
    if by_path and both:
        check.refuse(f"{min(both)!r} is in train and in test")


def _first_repeated(values: list[Any]) -> list[Any]:
    seen: set[Any] = set()
    for value in values:
        if value in seen:
            return [value]
        seen.add(value)
    return []


def _check_labels(check: _Checker, manifest: dict[str, Any]) -> None:
    train, classes, normal = manifest["train"], len(manifest["class_names"]), manifest["normal_class"]
    rows = zip(train["image"], train["part"], train["role"], train["label"], strict=True)
    for image, part, role, label in rows:
        valid_role = type(role) is int and role in (NORMAL, UNLABELLED, ABNORMAL)
        check.require(valid_role, f"the role of {image!r} is {_short(role)}, expected 1, 0 or -1")
        check.require(part in ("train", "held_out"), f"the part of {image!r} is {_short(part)}")
        check.require(part == "train" or role != UNLABELLED, f"{image!r} is held out but unlabelled")
        lowest = -1 if role == UNLABELLED else 0
        valid_label = type(label) is int and lowest <= label < classes
        check.require(valid_label, f"the label of {image!r} is {_short(label)}, which is no class")
        contradicts = (role == NORMAL and label != normal) or (role == ABNORMAL and label == normal)
        check.require(not contradicts, f"{image!r} has role {role} but is of class {label}")
    for image, label in zip(manifest["test"]["image"], manifest["test"]["label"], strict=True):
        valid_label = type(label) is int and 0 <= label < classes
        check.require(valid_label, f"the label of test image {image!r} is {_short(label)}, which is no class")


def _short(value: object) -> str:
    text = repr(value)
    return text if len(text) <= 60 else text[:57] + "..."
