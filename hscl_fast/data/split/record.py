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

from hscl_fast.atomic import write_text
from hscl_fast.config.sections import DataConfig
from hscl_fast.data.bad_images import BadImages
from hscl_fast.data.split.protocols import Assignment
from hscl_fast.data.types import AnyImages, Source

FORMAT = "hscl-split"
VERSION = 1
KINDS = ("named", "folder", "csv", "npz", "beton")
# Kinds whose images are files, named by path; the others lie in arrays and are named by index.
FILE_KINDS = ("folder", "csv")
_CHUNK = 1024  # images


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
        ``named``, ``folder``, ``csv``, ``npz`` or ``beton``.
    source
        The images and true labels.
    assignment
        Which training images are used, and as what.
    classes
        The normal class id, and the known anomaly class id or None.
    digest
        Of :func:`digest_arrays` or :func:`digest_files`, or of the whole ``.beton`` file.

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


def digest_arrays(arrays: Iterable[AnyImages]) -> str:
    """Return the sha256 of images uint8 [n, H, W, 3], shapes included."""
    total = hashlib.sha256()
    for array in arrays:
        total.update(repr(array.shape).encode())
        for first in range(0, len(array), _CHUNK):
            total.update(np.ascontiguousarray(array[first : first + _CHUNK]).data)
    return total.hexdigest()


def digest_files(paths: Sequence[Path]) -> str:
    """Return the sha256 of the sha256 of each file's bytes, so that it depends on no image decoder.

    Raises
    ------
    BadImages
        Files cannot be read; all of them are named.
    """
    total = hashlib.sha256()
    bad = []
    for path in paths:
        try:
            total.update(hashlib.sha256(path.read_bytes()).digest())
        except OSError as error:
            gone = isinstance(error, FileNotFoundError)
            bad.append((str(path), "there is no such file" if gone else error.strerror or str(error)))
    if bad:
        raise BadImages(bad)
    return total.hexdigest()


def write_manifest(manifest: dict[str, Any], path: str | Path) -> None:
    """Write a manifest in one step as compact JSON, one key a line so that two of them can be compared by eye."""
    lines = (f"{json.dumps(key)}: {json.dumps(value, separators=(',', ':'))}" for key, value in manifest.items())
    write_text(path, "{\n" + ",\n".join(lines) + "\n}\n")
