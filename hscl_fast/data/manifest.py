"""The manifest, ``split.json``: everything needed to deal out the same split again.

Columnar JSON: ``train`` has the columns ``image`` (index in the data set, or path inside the user's folder),
``part`` (``train`` or ``held_out``), ``role`` and ``label`` (the true class id, hidden from training; -1 where
unknown); ``test`` has ``image`` and ``label``. ``sha256`` is over the images, ``checksum`` over the manifest itself.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from hscl_fast.atomic import write_text
from hscl_fast.config import DataConfig
from hscl_fast.data.image_set import Source
from hscl_fast.data.splits import Assignment

FORMAT = "hscl-split"
VERSION = 1
KINDS = ("named", "folder", "csv", "npz")
# Kinds whose images are files, named by path; the others lie in arrays and are named by index.
FILE_KINDS = ("folder", "csv")


def build_manifest(
    config: DataConfig,
    kind: str,
    source: Source,
    assignment: Assignment,
    classes: tuple[int, int | None],
    digest: str,
) -> dict[str, Any]:
    """Write a split down.

    Parameters
    ----------
    config
        The configuration that made it.
    kind
        ``named``, ``folder``, ``csv`` or ``npz``.
    source
        The images and true labels.
    assignment
        Which training images are used, and as what.
    classes
        The normal class id, and the known anomaly class id or None.
    digest
        Of :func:`digest_arrays` or :func:`digest_files`.

    Returns
    -------
    dict
        Plain JSON values, equal to what :func:`read_manifest` returns once written and read.
    """
    named = kind == "named"
    chosen = assignment.index.tolist()
    names, test_names = source.train.names, source.test.names
    by_path = kind in FILE_KINDS
    manifest = {
        "format": FORMAT,
        "version": VERSION,
        "name": config.name,
        "kind": kind,
        "protocol": config.protocol if named else "given",
        "seed": config.seed,
        "labelled_ratio": config.labelled_ratio if named else None,
        "pollution_ratio": config.pollution_ratio if named else None,
        "held_out_ratio": config.held_out_ratio,
        "class_names": list(source.class_names),
        "normal_class": classes[0],
        "known_abnormal_class": classes[1],
        "train": {
            "image": [names[i] for i in chosen] if by_path else chosen,
            "part": ["held_out" if held else "train" for held in assignment.held_out.tolist()],
            "role": assignment.roles.tolist(),
            "label": source.train.labels[assignment.index].tolist(),
        },
        "test": {
            "image": list(test_names) if by_path else list(range(len(test_names))),
            "label": source.test.labels.tolist(),
        },
        "sha256": digest,
    }
    return {**manifest, "checksum": checksum(manifest)}


def checksum(manifest: dict[str, Any]) -> str:
    """Return the sha256 of a manifest without its ``checksum``, which finds a slip of the hand, not a forger."""
    body = {key: value for key, value in manifest.items() if key != "checksum"}
    return hashlib.sha256(json.dumps(body, sort_keys=True, separators=(",", ":")).encode()).hexdigest()


def digest_arrays(arrays: Iterable[npt.NDArray[np.uint8]]) -> str:
    """Return the sha256 of uint8 arrays [n, H, W, 3], shapes included."""
    total = hashlib.sha256()
    for array in arrays:
        total.update(repr(array.shape).encode())
        total.update(np.ascontiguousarray(array).data)
    return total.hexdigest()


def digest_files(paths: Sequence[Path]) -> str:
    """Return the sha256 of the sha256 of each file's bytes, so that it depends on no image decoder."""
    total = hashlib.sha256()
    for path in paths:
        total.update(hashlib.sha256(path.read_bytes()).digest())
    return total.hexdigest()


def write_manifest(manifest: dict[str, Any], path: str | Path) -> None:
    """Write a manifest in one step as compact JSON, one key a line so that two of them can be compared by eye."""
    lines = (f"{json.dumps(key)}: {json.dumps(value, separators=(',', ':'))}" for key, value in manifest.items())
    write_text(path, "{\n" + ",\n".join(lines) + "\n}\n")
