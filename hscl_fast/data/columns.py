"""Checks between the columns of roles and true labels that the split record and the sidecar have."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Any

from pydantic import AfterValidator, Field

from hscl_fast.data.types import ABNORMAL, NORMAL, UNLABELLED
from hscl_fast.strict_json import Column, StrictModel, short

_LONGEST_NAME = 1000


def _require_distinct(names: list[str]) -> list[str]:
    if len(set(names)) < len(names):
        raise ValueError("has a name twice")
    return names


def _require_short(name: str) -> str:
    if len(name) > _LONGEST_NAME:
        raise ValueError(f"is {short(name)}, but may have no more than {_LONGEST_NAME:,} characters")
    return name


# Not Field(max_length=...), which refuses lone surrogates, the bytes of folder names that are not UTF-8.
_ClassName = Annotated[str, AfterValidator(_require_short)]
ClassNames = Annotated[Column[_ClassName], Field(min_length=1), AfterValidator(_require_distinct)]


def check_columns(
    class_names: list[str],
    normal_class: int,
    train: StrictModel,
    test: StrictModel,
    *,
    images: str,
    consistent: bool = True,
) -> None:
    """Raise a ValueError unless every image has one value per column, and roles, labels and classes fit together.

    Parameters
    ----------
    class_names, normal_class
        The classes, and the id of the normal one.
    train
        Has the columns ``role`` (1 normal, 0 unlabelled, -1 abnormal) and ``label`` (the true class id; -1 is unknown,
        which only an unlabelled image may be).
    test
        Has the column ``label``.
    images
        The column that the messages call the images by.
    consistent
        Whether the role of a labelled image must be that of its class.
    """
    if not 0 <= normal_class < len(class_names):
        raise ValueError(f"normal_class is {short(normal_class)}, but the number of classes is {len(class_names)}")
    trained, tested = _columns("train", train), _columns("test", test)
    if not trained[images]:
        raise ValueError("train has no image")
    for image, role, label in zip(trained[images], trained["role"], trained["label"], strict=True):
        if role not in (NORMAL, UNLABELLED, ABNORMAL):
            raise ValueError(f"the role of {short(image)} is {short(role)}, expected 1, 0 or -1")
        if not (-1 if role == UNLABELLED else 0) <= label < len(class_names):
            raise ValueError(f"the label of {short(image)} is {short(label)}, which is not a class")
        if consistent and role != UNLABELLED and (role == NORMAL) != (label == normal_class):
            raise ValueError(f"{short(image)} has role {role} but is of class {label}")
    for image, label in zip(tested[images], tested["label"], strict=True):
        if not 0 <= label < len(class_names):
            raise ValueError(f"the label of test image {short(image)} is {short(label)}, which is not a class")


def _columns(part: str, table: StrictModel) -> dict[str, Sequence[Any]]:
    columns = dict(table)
    if len({len(values) for values in columns.values()}) > 1:
        listed = ", ".join(f"{len(values)} of {name}" for name, values in columns.items())
        raise ValueError(f"the columns of {part} have different lengths: {listed}")
    return columns
