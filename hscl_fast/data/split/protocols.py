"""Assigns roles to the images of a labelled data set: how many images of each role, and which ones.

``elsa`` is the protocol of Deep SAD (Ruff et al. 2020) and ELSA (Han et al. 2021), ``released`` the one of HSCL's
released code, and ``labelled`` that of HSCL's Scenario 3, in which every training image is labelled.
"""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction

import numpy as np
import numpy.typing as npt

from hscl_fast.config.sections import DataConfig
from hscl_fast.data.types import ABNORMAL, NORMAL, UNLABELLED, LabelledImages, Labels, Mask, Roles, Source
from hscl_fast.errors import UsageError

# Streams of the seed: the hold-out must not change when the split draws more numbers, nor the split with the hold-out.
_SPLIT_STREAM, _HOLD_OUT_STREAM = 0, 1


@dataclass(frozen=True, eq=False)
class Assignment:
    """The training images of a source that are used, and their roles.

    Parameters
    ----------
    index
        int64 [k], ascending positions in ``source.train``.
    roles
        int8 [k].
    held_out
        bool [k], True for labelled images kept out of training.
    """

    index: Labels
    roles: Roles
    held_out: Mask


def elsa_counts(n: int, labelled_ratio: float, pollution_ratio: float) -> tuple[int, int, int, int]:
    """Solve for the number of images of each role, then truncate each.

    With T = ln + un + pol + la: ln + un = n, ln = la = labelled_ratio T, pol = pollution_ratio (un + pol), so that
    T = n / (labelled_ratio + (1 - pollution_ratio)(1 - 2 labelled_ratio)).

    Parameters
    ----------
    n
        Images of the normal class.
    labelled_ratio
        gamma_l, in [0, 0.5).
    pollution_ratio
        gamma_p, in [0, 1).

    Returns
    -------
    labelled_normal, unlabelled_normal, pollution, labelled_abnormal : int

    Examples
    --------
    The normal class of CIFAR-10 at gamma_l = 5 %, gamma_p = 10 %:

    >>> elsa_counts(5000, 0.05, 0.10)
    (290, 4709, 523, 290)
    """
    labelled, pollution = _exact(labelled_ratio), _exact(pollution_ratio)
    total = n / (labelled + (1 - pollution) * (1 - 2 * labelled))
    unlabelled = (1 - 2 * labelled) * total
    return (
        int(labelled * total),
        int((1 - pollution) * unlabelled),
        int(pollution * unlabelled),
        int(labelled * total),
    )


def _exact(ratio: float) -> Fraction:
    # The decimal that the user wrote: truncation must not lose an image to a rounding error.
    return Fraction(repr(float(ratio)))


def released_counts(
    n: int, classes: int, normal_classes: int, labelled_ratio: float, pollution_ratio: float
) -> tuple[int, int, int]:
    """Count the images of each role as HSCL's released code does.

    Parameters
    ----------
    n
        Images of the normal class.
    classes, normal_classes
        C and C_normal, counted in the finest classes there are.
    labelled_ratio, pollution_ratio
        gamma_l (0.05 in the released code) and gamma_p.

    Returns
    -------
    labelled_normal : int
        round(gamma_l n)
    labelled_abnormal_per_class, pollution_per_class : int
        round(n g / (1 - g) / (C - C_normal)) for g = gamma_l and g = gamma_p

    Examples
    --------
    >>> released_counts(5000, classes=10, normal_classes=1, labelled_ratio=0.05, pollution_ratio=0.10)
    (250, 29, 62)
    """
    anomalous = classes - normal_classes
    labelled, pollution = (round(n * ratio / (1 - ratio) / anomalous) for ratio in (labelled_ratio, pollution_ratio))
    return round(n * labelled_ratio), labelled, pollution


def choose_classes(class_names: tuple[str, ...], config: DataConfig) -> tuple[int, int]:
    """Return the normal and the known anomaly class id, the class after the normal one where it is unset.

    Raises
    ------
    UsageError
        One of them is not a class of the data set.
    """
    count = len(class_names)
    normal, known = config.normal_class, config.known_abnormal_class
    for field, value in (("normal_class", normal), ("known_abnormal_class", known)):
        if value is not None and value >= count:
            listed = ", ".join(f"{i} {name}" for i, name in enumerate(class_names))
            raise UsageError(
                f"--data.{field} is {value}, but {config.name} has the classes {listed}. Give a number from 0 to "
                f"{count - 1}."
            )
    return normal, (normal + 1) % count if known is None else known


def assign_roles(source: Source, config: DataConfig) -> Assignment:
    """Assign roles by ``config.protocol``; nothing is held out yet.

    Parameters
    ----------
    source
        The labelled data set; only the images of ``source.train`` get roles.
    config
        Protocol, classes, ratios and seed.

    Returns
    -------
    Assignment

    Raises
    ------
    UsageError
        A class is out of range, or has fewer images than the ratios ask for.
    """
    normal, known = choose_classes(source.class_names, config)
    count = int((source.train.labels == normal).sum())
    if count == 0:
        raise UsageError(
            f"{config.name} has no training image of class {normal} ({source.class_names[normal]}), the normal class. "
            "Give another --data.normal_class."
        )
    roles = np.full(len(source.train.labels), _UNUSED, np.int8)
    assign = {"elsa": _assign_elsa, "released": _assign_released, "labelled": _assign_labelled}[config.protocol]
    assign(roles, source, config, normal, known)
    index = np.flatnonzero(roles != _UNUSED)
    return Assignment(index, roles[index], np.zeros(len(index), np.bool_))


_UNUSED = 2


def _assign_elsa(roles: Roles, source: Source, config: DataConfig, normal: int, known: int) -> None:
    labels = source.train.labels
    rng = np.random.default_rng([config.seed, _SPLIT_STREAM])
    normals = rng.permutation(np.flatnonzero(labels == normal))
    counts = elsa_counts(len(normals), config.labelled_ratio, config.pollution_ratio)
    labelled, unlabelled, pollution, abnormal = counts
    roles[normals[:labelled]] = NORMAL
    roles[normals[labelled : labelled + unlabelled]] = UNLABELLED
    anomalous = [c for c in range(len(source.class_names)) if c != normal]
    shares = np.full(len(anomalous), pollution // len(anomalous))
    shares[rng.choice(len(anomalous), pollution % len(anomalous), replace=False)] += 1
    for class_id, share in zip(anomalous, shares.tolist(), strict=True):
        members = rng.permutation(np.flatnonzero(labels == class_id))
        wanted = abnormal if class_id == known else 0
        _require_enough(config, source.class_names[class_id], len(members), wanted, share)
        roles[members[:wanted]] = ABNORMAL
        roles[members[wanted : wanted + share]] = UNLABELLED


def _assign_released(roles: Roles, source: Source, config: DataConfig, normal: int, _known: int) -> None:
    fine = _finest(source.train)
    normals = np.flatnonzero(source.train.labels == normal)
    normal_classes = np.unique(fine[normals])
    anomalous = np.setdiff1d(fine, normal_classes)
    if not len(anomalous):
        raise UsageError(f"{config.name} has training images of one class only. Give a data set with more classes.")
    classes = len(anomalous) + len(normal_classes)
    ratios = (config.labelled_ratio, config.pollution_ratio)
    labelled, abnormal, pollution = released_counts(len(normals), classes, len(normal_classes), *ratios)
    roles[normals] = UNLABELLED
    roles[normals[:labelled]] = NORMAL
    for class_id in anomalous.tolist():
        members = np.flatnonzero(fine == class_id)
        _require_enough(config, f"class {class_id}", len(members), abnormal, pollution)
        roles[members[:abnormal]] = ABNORMAL
        roles[members[abnormal : abnormal + pollution]] = UNLABELLED


def _assign_labelled(roles: Roles, source: Source, _config: DataConfig, normal: int, _known: int) -> None:
    roles[:] = np.where(source.train.labels == normal, NORMAL, ABNORMAL)


def _finest(images: LabelledImages) -> npt.NDArray[np.int64]:
    return images.labels if images.fine_labels is None else images.fine_labels


def _require_enough(config: DataConfig, name: str, available: int, labelled: int, pollution: int) -> None:
    if labelled + pollution > available:
        raise UsageError(
            f"--data.labelled_ratio {config.labelled_ratio} and --data.pollution_ratio {config.pollution_ratio} ask "
            f"for {labelled} labelled and {pollution} hidden anomalies of {name}, which has {available} training "
            f"images in {config.name}. Give smaller ratios."
        )


def hold_out(assignment: Assignment, ratio: float, seed: int) -> Assignment:
    """Mark a share of the labelled images of each role as kept out of training.

    Parameters
    ----------
    assignment
        Roles; its ``held_out`` is replaced.
    ratio
        Share in [0, 1), rounded half up to whole images. With ``ratio`` > 0 a role of two or more labelled images
        gives at least one and keeps at least one; a role of one keeps it.
    seed
        Seed of the draw.

    Returns
    -------
    Assignment
    """
    rng = np.random.default_rng([seed, _HOLD_OUT_STREAM])
    held_out = np.zeros(len(assignment.roles), np.bool_)
    for role in (NORMAL, ABNORMAL):
        members = rng.permutation(np.flatnonzero(assignment.roles == role))
        count = 0
        if ratio > 0 and len(members) >= 2:
            rounded = int(_exact(ratio) * len(members) + Fraction(1, 2))
            count = min(max(rounded, 1), len(members) - 1)
        held_out[members[:count]] = True
    return Assignment(assignment.index, assignment.roles, held_out)
