"""Puts labels that a person gave later on top of those that a split has; who is held out and tested stays."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from hscl_fast.counted import counted
from hscl_fast.csv_text import escaped
from hscl_fast.data.paths import at_home
from hscl_fast.data.split.protocols import Assignment, hold_out
from hscl_fast.data.types import ABNORMAL, NORMAL, UNLABELLED, Kind, Labels, Mask, Remark, Source
from hscl_fast.data.user.label_file import GivenLabel, read_labels
from hscl_fast.data.user.labels import WORD_FOR
from hscl_fast.data.user.listing import ABNORMAL_NAME
from hscl_fast.errors import UsageError

_SHOWN = 20  # unknown images
_FEW = 5  # changed labels
_WITH_TRUTH: tuple[Kind, ...] = ("named", "beton")  # kinds that may know the class of an unlabelled image


@dataclass(frozen=True)
class Judgement:
    """The label that a person gave to a training image: its name, and the role +1, 0 or -1."""

    name: str
    role: int


@dataclass(frozen=True, eq=False)
class Relabelled:
    """A source and an assignment in which labels were replaced.

    Parameters
    ----------
    source
        Its class ids of training images fit the new roles; where the data itself knows them they are as before.
    assignment
        The images of before, with the new roles.
    judged
        The labels that were given, in the order of their file.
    remarks
        What they changed.
    """

    source: Source
    assignment: Assignment
    judged: tuple[Judgement, ...] = ()
    remarks: tuple[Remark, ...] = ()


def relabel(
    labels: str | None,
    kind: Kind,
    source: Source,
    assignment: Assignment,
    *,
    normal_class: int,
    held_out_ratio: float,
    seed: int,
) -> Relabelled:
    """Give training images the roles that a file of labels has for them.

    A label of the file replaces one that the data has. An image that is held out stays held out, and no other image is
    held out, so that rounds of labelling can be compared; only where a role had no labelled image at all before, a
    share of the new ones is held out, as :func:`hscl_fast.data.split.protocols.hold_out` draws it.

    Parameters
    ----------
    labels
        The file, see :func:`hscl_fast.data.user.label_file.read_labels`; None: nothing is changed. Its paths are the
        names of training images, such as ``train/17``.
    kind, source, assignment
        The data set, and the roles so far.
    normal_class
        The id of the normal class.
    held_out_ratio, seed
        For the draw.

    Raises
    ------
    UsageError
        The file is not valid, names images that are not training images of the split, or leaves only abnormal ones.
    """
    if labels is None:
        return Relabelled(source, assignment)
    path = at_home(labels)
    given = read_labels(path)
    positions = _positions(path, given, source, assignment.index)
    roles = assignment.roles.copy()
    for label, position in zip(given, positions, strict=True):
        roles[position] = label.role
    if (roles == ABNORMAL).all():
        raise UsageError(
            f"With the labels of {path} all {counted(len(roles), 'training image')} would be abnormal, but what is "
            "normal is learned from normal or unlabelled ones. Correct the labels."
        )
    held_out = assignment.held_out & (roles != UNLABELLED)
    fresh = [role for role in (NORMAL, ABNORMAL) if not (assignment.roles == role).any()]
    drawn = hold_out(replace(assignment, roles=roles), held_out_ratio, seed).held_out & np.isin(roles, fresh)
    after = Assignment(assignment.index, roles, held_out | drawn)
    names = [source.train.names[assignment.index[position]] for position in positions]
    return Relabelled(
        _with_classes(kind, source, after, assignment.roles != roles, normal_class),
        after,
        tuple(Judgement(name, label.role) for name, label in zip(names, given, strict=True)),
        _remarks(path, given, names, assignment.roles[positions], int(drawn.sum())),
    )


def _positions(path: Path, given: Sequence[GivenLabel], source: Source, index: Labels) -> list[int]:
    """Return the positions in ``index`` of the images that labels were given for."""
    known = _by_name([source.train.names[i] for i in index])
    if unknown := [label for label in given if known.get(label.name) is None]:
        tested = _by_name(source.test.names)
        shown = ", ".join(_shown(label, tested) for label in unknown[:_SHOWN])
        more = f" and {len(unknown) - _SHOWN:,} more" if len(unknown) > _SHOWN else ""
        raise UsageError(
            f"{path} has labels for {counted(len(unknown), 'image')} of {len(given):,} that the split does not train "
            f"on: {shown}{more}. Expected names of training images as suspects.csv of a run has them, such as "
            f"{escaped(source.train.names[index[0]])!r}. Correct the paths or take these lines out; with --from and "
            "--data.split_record the images are those of that split."
        )
    return [known[label.name] for label in given]  # type: ignore[misc]


def _by_name(names: Sequence[str]) -> dict[str, int | None]:
    """Return the position of each name, as it is and as tables have it; None where two names are written alike."""
    found: dict[str, int | None] = {}
    for position, name in enumerate(names):
        written = escaped(name)
        found[written] = None if written in found else position
    return found


def _shown(label: GivenLabel, tested: dict[str, int | None]) -> str:
    return f"line {label.line} {label.name!r}{' (a test image)' if label.name in tested else ''}"


def _with_classes(kind: Kind, source: Source, after: Assignment, changed: Mask, normal_class: int) -> Source:
    """Return the source with the class ids of relabelled images, and with a class for anomalies if it needs one."""
    labels, names = source.train.labels.copy(), source.class_names
    rows, roles = after.index[changed], after.roles[changed]
    if kind in _WITH_TRUTH:
        unknown = labels[rows] == -1
        rows, roles = rows[unknown], roles[unknown]
    if (roles == ABNORMAL).any() and ABNORMAL_NAME not in names:
        names = (*names, ABNORMAL_NAME)
    labels[rows[roles == NORMAL]] = normal_class
    labels[rows[roles == UNLABELLED]] = -1
    if (roles == ABNORMAL).any():
        labels[rows[roles == ABNORMAL]] = names.index(ABNORMAL_NAME)
    return replace(source, train=replace(source.train, labels=labels), class_names=names)


def _remarks(
    path: Path, given: Sequence[GivenLabel], names: Sequence[str], before: np.ndarray, drawn: int
) -> tuple[Remark, ...]:
    counts = [(sum(label.role == role for label in given), word) for role, word in WORD_FOR.items()]
    listed = ", ".join(f"{count:,} {word}" for count, word in counts if count)
    added = int((before == UNLABELLED).sum())
    text = f"{path}: {counted(len(given), 'label')} ({listed}), {added:,} of them for images without one so far"
    if drawn:
        text += f"; {drawn:,} of them held out, since no image had such a label before"
    remarks = [Remark(text)]
    changes = [
        f"{escaped(name)!r} was {WORD_FOR[role]}, is {WORD_FOR[label.role]}"
        for name, role, label in zip(names, before.tolist(), given, strict=True)
        if role not in (UNLABELLED, label.role)
    ]
    if changes:
        more = f" and {len(changes) - _FEW:,} more" if len(changes) > _FEW else ""
        text = f"{counted(len(changes), 'label')} of {path} in place of another: {'; '.join(changes[:_FEW])}{more}"
        remarks.append(Remark(text, doubt=True))
    return tuple(remarks)
