"""The record of a split, ``split.json``: which image played which role, so that the split can be made again exactly."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from hscl_fast.config import DataConfig
from hscl_fast.data.image_set import LabelledImages, Source
from hscl_fast.data.roles import ABNORMAL, NORMAL, UNLABELLED
from hscl_fast.data.splits import Assignment
from hscl_fast.errors import UsageError

_FORMAT = 1
_INDEXED = ("named", "npz")  # images without a path of their own are known by their index


def make_manifest(
    kind: str,
    source: Source,
    assignment: Assignment,
    classes: tuple[int, int | None],
    config: DataConfig,
    digest: str,
) -> dict[str, Any]:
    """Return the manifest of a split as JSON values.

    Parameters
    ----------
    kind
        ``named``, ``folder``, ``csv`` or ``npz``.
    source
        All images with their true classes (-1 where unknown).
    assignment
        Which training images are used, and as what.
    classes
        The normal class and, where one is known, the class of the labelled anomalies.
    config
        What the split was drawn by.
    digest
        SHA-256 of the images as they are trained and tested on.
    """
    chosen = assignment.index
    return {
        "format": _FORMAT,
        "data": config.name,
        "kind": kind,
        "protocol": config.protocol if kind == "named" else None,
        "seed": config.seed,
        "labelled_ratio": config.labelled_ratio if kind == "named" else None,
        "pollution_ratio": config.pollution_ratio if kind == "named" else None,
        "held_out_ratio": config.held_out_ratio,
        "class_names": list(source.class_names),
        "normal_class": classes[0],
        "known_abnormal_class": classes[1],
        "images_sha256": digest,
        "train": {
            **_identities(kind, source.train, chosen),
            "role": assignment.roles.tolist(),
            "held_out": assignment.held_out.astype(int).tolist(),
            "label": source.train.labels[chosen].tolist(),
        },
        "test": {
            **_identities(kind, source.test, np.arange(len(source.test.labels))),
            "label": source.test.labels.tolist(),
        },
    }


def read_manifest(path: Path) -> dict[str, Any]:
    """Read a manifest and check its form.

    Raises
    ------
    UsageError
        It cannot be read, is not a manifest of this version, or contradicts itself.
    """
    try:
        manifest = json.loads(path.read_bytes())
    except (OSError, ValueError, RecursionError) as error:
        raise UsageError(
            f"--data.manifest {path} is not readable JSON ({error}). Give a run's split.json."
        ) from None
    problem = _problem(manifest)
    if problem:
        raise UsageError(
            f"--data.manifest {path} is not a valid split: {problem}. Give the split.json of a run."
        )
    return manifest


def apply_manifest(
    manifest: dict[str, Any], kind: str, source: Source, config: DataConfig
) -> tuple[Assignment, tuple[int, int | None]]:
    """Return the recorded roles of a source's images, and the normal and the known anomaly class.

    Images are looked up among those of the source; no path of the manifest is ever opened.

    Raises
    ------
    UsageError
        The manifest belongs to other data.
    """
    expected = {"data": config.name, "kind": kind, "class_names": list(source.class_names)}
    for name, value in expected.items():
        if manifest[name] != value:
            raise UsageError(
                f"--data.manifest {config.manifest} has {name} {manifest[name]!r}, but the data has {value!r}. Give the "
                "split.json that was made from these data."
            )
    train, test = manifest["train"], manifest["test"]
    index = _positions(train, kind, source.train, config)
    tested = _positions(test, kind, source.test, config)
    same_train = np.array_equal(source.train.labels[index], train["label"])
    complete = np.array_equal(tested, np.arange(len(source.test.labels)))
    if not (same_train and complete and np.array_equal(source.test.labels, test["label"])):
        raise UsageError(
            f"--data.manifest {config.manifest} does not match the data: true classes or test images differ. Give the "
            "split.json that was made from these data."
        )
    assignment = Assignment(index, np.array(train["role"], np.int8), np.array(train["held_out"], np.bool_))
    return assignment, (manifest["normal_class"], manifest["known_abnormal_class"])


def digest_images(*parts: npt.NDArray[np.uint8]) -> str:
    """Return the SHA-256 of images and their shapes."""
    digest = hashlib.sha256()
    for images in parts:
        digest.update(repr(images.shape).encode())
        digest.update(np.ascontiguousarray(images).data)
    return digest.hexdigest()


def _identities(kind: str, images: LabelledImages, chosen: npt.NDArray[np.int64]) -> dict[str, list[Any]]:
    if kind in _INDEXED:
        return {"index": chosen.tolist()}
    return {"path": [images.names[i] for i in chosen]}


def _positions(
    part: dict[str, Any], kind: str, images: LabelledImages, config: DataConfig
) -> npt.NDArray[np.int64]:
    if kind in _INDEXED:
        known: dict[Any, int] = {i: i for i in range(len(images.labels))}
        wanted = part.get("index")
    else:
        known = {name: i for i, name in enumerate(images.names)}
        wanted = part.get("path")
    unknown = [entry for entry in wanted or [] if entry not in known]
    if wanted is None or unknown:
        raise UsageError(
            f"--data.manifest {config.manifest} names images that {config.name} does not have"
            f"{f', such as {unknown[0]!r}' if unknown else ''}. Give the split.json that was made from these data."
        )
    return np.array([known[entry] for entry in wanted], np.int64)


def _problem(manifest: Any) -> str | None:
    """What is wrong with a manifest's form, or None."""
    if not isinstance(manifest, dict) or manifest.get("format") != _FORMAT:
        return f"it is no manifest of format {_FORMAT}"
    names = manifest.get("class_names")
    if not (_is_list(names, str) and names):
        return "class_names is not a list of names"
    for name in ("normal_class", "known_abnormal_class"):
        value = manifest.get(name)
        if not (type(value) is int and 0 <= value < len(names)) and not (
            value is None and name != "normal_class"
        ):
            return f"{name} is {value!r}"
    if not all(isinstance(manifest.get(name), str) for name in ("data", "kind", "images_sha256")):
        return "data, kind or images_sha256 is not a text"
    columns = {"train": ("role", "held_out", "label"), "test": ("label",)}
    return next(
        filter(None, (_part_problem(manifest, part, columns[part], len(names)) for part in columns)), None
    )


def _part_problem(manifest: dict[str, Any], part: str, columns: tuple[str, ...], classes: int) -> str | None:
    table = manifest.get(part)
    identity = "index" if manifest["kind"] in _INDEXED else "path"
    if not isinstance(table, dict) or not _is_list(table.get(identity), int if identity == "index" else str):
        return f"{part} has no list {identity}"
    for column in columns:
        if not _is_list(table.get(column), int) or len(table[column]) != len(table[identity]):
            return f"{part}.{column} is not a list of {len(table[identity])} whole numbers"
    if len(set(table[identity])) != len(table[identity]):
        return f"{part} has an image twice"
    if any(not -1 <= label < classes for label in table["label"]):
        return f"{part}.label holds a class that does not exist"
    if part == "train":
        if set(table["role"]) - {NORMAL, UNLABELLED, ABNORMAL} or set(table["held_out"]) - {0, 1}:
            return "train.role holds another value than 1, 0 or -1, or train.held_out another than 0 or 1"
        if any(
            held and role == UNLABELLED for held, role in zip(table["held_out"], table["role"], strict=True)
        ):
            return "an unlabelled image is held out"
    elif identity == "path" and set(table["path"]) & set(manifest["train"]["path"]):
        return "an image is in train and in test"
    return None


def _is_list(value: Any, kind: type) -> bool:
    return isinstance(value, list) and all(type(entry) is kind for entry in value)
