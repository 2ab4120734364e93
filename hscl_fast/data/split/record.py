"""The split record, ``split.json``: everything that is needed to make the same split again."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, Literal, Self

import numpy as np
from pydantic import model_validator

from hscl_fast.atomic import write_text
from hscl_fast.config.sections import DataConfig
from hscl_fast.data.bad_images import BadImages
from hscl_fast.data.columns import ClassNames, check_columns
from hscl_fast.data.paths import is_plain_relative
from hscl_fast.data.split.protocols import Assignment
from hscl_fast.data.types import FILE_KINDS, UNLABELLED, AnyImages, Kind, Source
from hscl_fast.errors import UsageError
from hscl_fast.limited_file import read_limited
from hscl_fast.strict_json import Column, Number, Sha256, StrictModel, VersionOne, read_strict, short

_CHUNK = 1024  # images
_LARGEST_IMAGE = 1 << 30  # bytes of a file


class RecordedTraining(StrictModel):
    """The training images, one column per attribute.

    Parameters
    ----------
    image
        Index in the data set, or path inside the user's folder.
    part
        ``train``, or ``held_out`` for a labelled image that is kept out of training.
    role
        1 normal, 0 unlabelled, -1 abnormal.
    label
        The true class id, hidden from training; -1 where unknown.
    """

    image: Column[Any]
    part: Column[Literal["train", "held_out"]]
    role: Column[int]
    label: Column[int]


class RecordedTest(StrictModel):
    """The test images: ``image`` and ``label`` as in :class:`RecordedTraining`."""

    image: Column[Any]
    label: Column[int]


class SplitRecord(StrictModel):
    """A split written down; the JSON file has these fields in this order.

    Parameters
    ----------
    name, protocol, seed, labelled_ratio, pollution_ratio, held_out_ratio
        Fields of the configuration that made the split. For a user's own data, whose roles come with it, ``protocol``
        is ``given`` and the first two ratios are None.
    kind
        Kind of the data.
    class_names, normal_class, known_abnormal_class
        The classes, the id of the normal one, and the id of the anomaly class that labels were drawn from, or None.
    train, test
        The images.
    sha256
        Over the images: see :func:`digest_arrays` and :func:`digest_files`. For a ``.beton``, over the whole file.
    checksum
        Over the record itself: see :func:`checksum`.
    """

    format: Literal["hscl-split"]
    version: VersionOne
    name: str
    kind: Kind
    protocol: Literal["elsa", "released", "labelled", "given"]
    seed: int
    labelled_ratio: Number | None
    pollution_ratio: Number | None
    held_out_ratio: Number
    class_names: ClassNames
    normal_class: int
    known_abnormal_class: int | None
    train: RecordedTraining
    test: RecordedTest
    sha256: Sha256
    checksum: str

    @model_validator(mode="after")
    def _check(self) -> Self:
        protocols = ("elsa", "released", "labelled") if self.kind == "named" else ("given",)
        if self.protocol not in protocols:
            raise ValueError(f"protocol is {self.protocol!r}, expected {' or '.join(protocols)} for kind {self.kind}")
        known, classes, train = self.known_abnormal_class, len(self.class_names), self.train
        if known is not None and not 0 <= known < classes:
            raise ValueError(f"known_abnormal_class is {short(known)}, but the number of classes is {classes}")
        # A person's label may contradict the class that the data knows.
        consistent = self.kind not in ("named", "beton")
        check_columns(self.class_names, self.normal_class, train, self.test, images="image", consistent=consistent)
        self._check_images()
        for image, part, role in zip(train.image, train.part, train.role, strict=True):
            if part == "held_out" and role == UNLABELLED:
                raise ValueError(f"{short(image)} is held out but unlabelled")
        if self.checksum != checksum(self.model_dump()):
            raise ValueError("its checksum does not fit: the file was changed by hand")
        return self

    def _check_images(self) -> None:
        by_path = self.kind in FILE_KINDS
        for part, images in (("train", self.train.image), ("test", self.test.image)):
            for image in images:
                if by_path and not (type(image) is str and is_plain_relative(image)):
                    raise ValueError(f"{part}.image has {short(image)}, expected a path inside the data's folder")
                if not by_path and not (type(image) is int and image >= 0):
                    raise ValueError(f"{part}.image has {short(image)}, expected an index, 0 or more")
            if len(set(images)) < len(images):
                raise ValueError(f"{part} has the image {short(_first_repeated(images))} twice")
        # Indices of train and test refer to different arrays.
        if by_path and (both := set(self.train.image) & set(self.test.image)):
            raise ValueError(f"{short(min(both))} is in train and in test")


def _first_repeated(values: list[Any]) -> Any:
    seen = set()
    for value in values:
        if value in seen:
            break
        seen.add(value)
    return value


def build_record(
    config: DataConfig,
    kind: Kind,
    source: Source,
    assignment: Assignment,
    classes: tuple[int, int | None],
    digest: str,
) -> SplitRecord:
    """Make the record of a split.

    Parameters
    ----------
    config
        The configuration that made the split.
    kind
        Kind of the data.
    source
        The images and true labels.
    assignment
        The training images that are used, and their roles.
    classes
        The normal class id, and the known anomaly class id or None.
    digest
        Result of :func:`digest_arrays` or :func:`digest_files`, or SHA-256 of the whole ``.beton`` file.

    Returns
    -------
    SplitRecord
        Equal to the one that :func:`read_record` returns once it is written and read.
    """
    named = kind == "named"
    chosen = assignment.index.tolist()
    names, test_names = source.train.names, source.test.names
    by_path = kind in FILE_KINDS
    # Validation is for records from outside.
    record = SplitRecord.model_construct(
        format="hscl-split",
        version=1,
        name=config.name,
        kind=kind,
        protocol=config.protocol if named else "given",
        seed=config.seed,
        labelled_ratio=config.labelled_ratio if named else None,
        pollution_ratio=config.pollution_ratio if named else None,
        held_out_ratio=config.held_out_ratio,
        class_names=list(source.class_names),
        normal_class=classes[0],
        known_abnormal_class=classes[1],
        train=RecordedTraining.model_construct(
            image=[names[i] for i in chosen] if by_path else chosen,
            part=["held_out" if held else "train" for held in assignment.held_out.tolist()],
            role=assignment.roles.tolist(),
            label=source.train.labels[assignment.index].tolist(),
        ),
        test=RecordedTest.model_construct(
            image=list(test_names) if by_path else list(range(len(test_names))),
            label=source.test.labels.tolist(),
        ),
        sha256=digest,
        checksum="",
    )
    return record.model_copy(update={"checksum": checksum(record.model_dump())})


def relabelled(record: SplitRecord, source: Source, assignment: Assignment) -> SplitRecord:
    """Return the record of the same images with other roles.

    Parameters
    ----------
    record
        That of before.
    source, assignment
        The images of the record in its order, with their new class ids and roles.
    """
    update: dict[str, Any] = {
        "part": ["held_out" if held else "train" for held in assignment.held_out.tolist()],
        "role": assignment.roles.tolist(),
        "label": source.train.labels[assignment.index].tolist(),
    }
    changed = record.model_copy(
        update={"class_names": list(source.class_names), "train": record.train.model_copy(update=update)}
    )
    return changed.model_copy(update={"checksum": checksum(changed.model_dump())})


def checksum(plain: dict[str, Any]) -> str:
    """Return the SHA-256 of a record's JSON values without ``checksum``: it detects accidental changes, not forgery."""
    body = {key: value for key, value in plain.items() if key != "checksum"}
    return hashlib.sha256(json.dumps(body, sort_keys=True, separators=(",", ":")).encode()).hexdigest()


def digest_arrays(arrays: Iterable[AnyImages]) -> str:
    """Return the SHA-256 of images uint8 [n, H, W, 3], shapes included."""
    total = hashlib.sha256()
    for array in arrays:
        total.update(repr(array.shape).encode())
        for first in range(0, len(array), _CHUNK):
            total.update(np.ascontiguousarray(array[first : first + _CHUNK]).data)
    return total.hexdigest()


def digest_files(hashes: Iterable[bytes]) -> str:
    """Return the SHA-256 of files, given :func:`hash_files` of them."""
    return hashlib.sha256(b"".join(hashes)).hexdigest()


def hash_files(paths: Sequence[Path]) -> list[bytes]:
    """Return the SHA-256 of each file's bytes, which depends on no image decoder.

    Raises
    ------
    BadImages
        Files cannot be read; all of them are named.
    """
    hashes, bad = [], []
    for path in paths:
        try:
            hashes.append(hashlib.sha256(read_limited(path, _LARGEST_IMAGE)).digest())
        except OSError as error:
            gone = isinstance(error, FileNotFoundError)
            bad.append((str(path), "there is no such file" if gone else error.strerror or str(error)))
    if bad:
        raise BadImages(bad)
    return hashes


def write_record(record: SplitRecord, path: str | Path) -> None:
    """Write a record atomically as compact JSON, one key per line so that two records can be compared by eye."""
    plain = record.model_dump()
    lines = (f"{json.dumps(key)}: {json.dumps(value, separators=(',', ':'))}" for key, value in plain.items())
    write_text(path, "{\n" + ",\n".join(lines) + "\n}\n")


def read_record(path: str | Path) -> SplitRecord:
    """Read a record and verify everything that can be verified without the data set.

    Parameters
    ----------
    path
        A ``split.json``.

    Raises
    ------
    UsageError
        The file is missing or not a split record, was changed by hand, has a value of the wrong type or out of range,
        a repeated image, an image both in train and in test, or a path that is not a normalised relative one.
    """

    def refusal(reason: str) -> UsageError:
        return UsageError(
            f"{path} is not a valid split record: {reason}. Give the unchanged split.json of a run to "
            "--data.split_record, or leave it out to draw a new split."
        )

    return read_strict(Path(path), SplitRecord, refusal)
