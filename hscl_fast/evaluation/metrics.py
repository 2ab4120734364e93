"""Detection metrics of normality scores, where a higher score always means more normal."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from sklearn.metrics import average_precision_score, roc_auc_score, roc_curve

from hscl_fast.errors import UsageError

Scores = npt.NDArray[np.floating[Any]]
Flags = npt.NDArray[np.bool_]

NORMAL_95 = 1.959964  # the normal distribution's central 95 % end here
NORMAL_ACCEPTANCE = 0.95  # the share of normals accepted at the threshold of FPR95


def checked_scores(scores: npt.ArrayLike, abnormal: npt.ArrayLike) -> tuple[Scores, Flags]:
    """Return both as arrays, the scores in their own floating type; raise an error if a score is not finite."""
    values, flags = np.asarray(scores), np.asarray(abnormal, dtype=bool)
    if not np.issubdtype(values.dtype, np.floating):
        values = values.astype(np.float64)
    if values.ndim != 1 or values.shape != flags.shape:
        raise UsageError(
            f"scores have shape {values.shape} and abnormal has shape {flags.shape}, but both must be [m], "
            "one entry per image. Pass the scores and the flags of the same images."
        )
    broken = np.flatnonzero(~np.isfinite(values))
    if broken.size:
        first = int(broken[0])
        raise UsageError(
            f"{broken.size} of {values.size} scores are not finite (the first is {values[first]}, of image "
            f"{first}), but every image needs a finite score. Score with an earlier checkpoint, or train again with a "
            "lower learning rate."
        )
    return values, flags


def has_both_sides(flags: Flags) -> bool:
    """Return whether there are both normals and anomalies."""
    return bool(flags.any() and not flags.all())


@dataclass(frozen=True)
class Aupr:
    """Average precision with the anomalies, and with the normals, as the positives."""

    abnormal: float | None
    normal: float | None


@dataclass(frozen=True)
class Detection:
    """The threshold-free metrics of a test set, each in [0, 1]; None where normals or anomalies are missing.

    Attributes
    ----------
    auroc
        All anomalies against all normals (pooled). Higher is better, 0.5 is chance.
    auroc_interval
        Its 95 % confidence interval: see :func:`auroc_interval`.
    auroc_mean
        The mean of ``auroc_per_class``, every anomaly class weighing the same (ELSA's protocol).
    auroc_per_class
        By name of the anomaly class: its anomalies against all normals.
    aupr
        Average precision; higher is better.
    fpr95
        The false-positive rate at 95 % true positives with normals as the positives: the share of anomalies accepted
        as normal at the highest threshold that accepts at least 95 % of the normals. Lower is better.
    """

    auroc: float | None
    auroc_interval: tuple[float, float] | None
    auroc_mean: float | None
    auroc_per_class: dict[str, float | None]
    aupr: Aupr
    fpr95: float | None


def auroc(scores: npt.ArrayLike, abnormal: npt.ArrayLike) -> float | None:
    """Return the area under the ROC curve: the chance that a normal scores above an anomaly, a tie counting half.

    Parameters
    ----------
    scores : float [m]
        Normality scores; higher is more normal.
    abnormal : bool [m]
        True for anomalies.

    Returns
    -------
    float or None
        In [0, 1], 0.5 is chance; None when there are no normals or no anomalies.

    Raises
    ------
    UsageError
        A score is not finite, or the shapes differ.
    """
    values, flags = checked_scores(scores, abnormal)
    return float(roc_auc_score(~flags, values)) if has_both_sides(flags) else None


def auroc_interval(scores: npt.ArrayLike, abnormal: npt.ArrayLike) -> tuple[float, float] | None:
    """Return the 95 % confidence interval of the AUROC, by DeLong's variance (Biometrics 1988) on the logit scale.

    Parameters
    ----------
    scores : float [m]
        Normality scores; higher is more normal.
    abnormal : bool [m]
        True for anomalies.

    Returns
    -------
    (float, float) or None
        None where there are fewer than two normals or two anomalies.

    Examples
    --------
    >>> auroc_interval([0.9, 0.8, 0.3, 0.1], [False, False, True, True])
    (1.0, 1.0)
    """
    values, flags = checked_scores(scores, abnormal)
    won, lost = _placements(values, flags)
    if len(won) < 2 or len(lost) < 2:
        return None
    value, deviation = float(won.mean()), _deviation(won, lost)
    if not 0 < value < 1:
        return value, value
    # On the scale of log(p / (1 - p)), where the interval is nearer to symmetric and cannot leave [0, 1].
    middle, margin = np.log(value / (1 - value)), NORMAL_95 * deviation / (value * (1 - value))
    return float(1 / (1 + np.exp(margin - middle))), float(1 / (1 + np.exp(-margin - middle)))


def paired_deviation(scores: npt.ArrayLike, others: npt.ArrayLike, abnormal: npt.ArrayLike) -> float:
    """Return the standard error of the difference of two AUROCs on the same images, by DeLong (Biometrics 1988).

    Parameters
    ----------
    scores, others : float [m]
        Two normality scores of each image; higher is more normal.
    abnormal : bool [m]
        True for anomalies; there must be two of them, and two normals.
    """
    won, lost = _placements(*checked_scores(scores, abnormal))
    other_won, other_lost = _placements(*checked_scores(others, abnormal))
    return _deviation(won - other_won, lost - other_lost)


def _placements(values: Scores, flags: Flags) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    """Return each normal's share of anomalies below it and each anomaly's share of normals below it, ties half."""
    normals, anomalies = values[~flags], values[flags]

    def below(some: Scores, others: Scores) -> npt.NDArray[np.float64]:
        ordered = np.sort(others)
        return (np.searchsorted(ordered, some) + np.searchsorted(ordered, some, "right")) / max(1, 2 * len(others))

    return below(normals, anomalies), below(anomalies, normals)


def _deviation(won: npt.NDArray[np.float64], lost: npt.NDArray[np.float64]) -> float:
    return float(np.sqrt(won.var(ddof=1) / len(won) + lost.var(ddof=1) / len(lost)))


def _fpr95(values: Scores, flags: Flags) -> float:
    # Without every point of the curve, the first one at 95 % could be skipped as lying on a straight line.
    accepted_anomalies, accepted_normals, _ = roc_curve(~flags, values, drop_intermediate=False)
    return float(accepted_anomalies[np.argmax(accepted_normals >= NORMAL_ACCEPTANCE)])


def _anomaly_classes(
    flags: Flags, classes: npt.NDArray[np.int64], class_names: Sequence[str], normal_class: int
) -> list[int]:
    """Return the classes of the anomalies, having checked that classes, names and flags agree."""
    if classes.shape != flags.shape:
        raise UsageError(
            f"classes have shape {classes.shape}, but must be {flags.shape}, one entry per image. Pass the "
            "classes of the images that were scored."
        )
    if classes.size and not 0 <= classes.min() <= classes.max() < len(class_names):
        raise UsageError(
            f"classes run from {classes.min()} to {classes.max()}, but must index the {len(class_names)} "
            "class names. Give every class a name."
        )
    anomalies = [int(c) for c in np.unique(classes[flags])]
    if normal_class in anomalies:
        raise UsageError(
            f"class {normal_class} ({class_names[normal_class]!r}) is the normal class, but some of its "
            "images are flagged as abnormal. Check that abnormal is true for anomalies, and that "
            "normal_class is the right one."
        )
    names = [class_names[c] for c in anomalies]
    if len(set(names)) < len(names):
        raise UsageError(
            f"anomaly classes share a name in {names}, but per-class figures need one name per class. Rename one."
        )
    return anomalies


def detection_metrics(
    scores: npt.ArrayLike,
    abnormal: npt.ArrayLike,
    classes: npt.ArrayLike,
    class_names: Sequence[str],
    normal_class: int,
) -> Detection:
    """Return the threshold-free metrics of a test set.

    Parameters
    ----------
    scores : float [m]
        Normality scores; higher is more normal.
    abnormal : bool [m]
        True for anomalies.
    classes : int64 [m]
        True classes, as indices into ``class_names``.
    class_names
        One name per class.
    normal_class
        The class that no anomaly may belong to.

    Raises
    ------
    UsageError
        A score is not finite, shapes differ, or classes, names and flags contradict each other.
    """
    values, flags = checked_scores(scores, abnormal)
    labels = np.asarray(classes, dtype=np.int64)
    anomalies = _anomaly_classes(flags, labels, class_names, normal_class)
    per_class = {
        class_names[c]: auroc(values[kept], flags[kept])
        for c in anomalies
        for kept in [~flags | (flags & (labels == c))]
    }
    both = has_both_sides(flags)
    return Detection(
        auroc=auroc(values, flags),
        auroc_interval=auroc_interval(values, flags),
        auroc_mean=float(np.mean(list(per_class.values()))) if both else None,
        auroc_per_class=per_class,
        aupr=Aupr(
            abnormal=float(average_precision_score(flags, -values)) if both else None,
            normal=float(average_precision_score(~flags, values)) if both else None,
        ),
        fpr95=_fpr95(values, flags) if both else None,
    )
