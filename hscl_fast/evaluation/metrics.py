"""Detection metrics of normality scores, where a higher score always means more normal."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
from sklearn.metrics import average_precision_score, roc_auc_score, roc_curve

from hscl_fast.errors import UsageError

Scores = npt.NDArray[np.floating[Any]]
Flags = npt.NDArray[np.bool_]

NORMAL_ACCEPTANCE = 0.95  # the share of normals accepted at the threshold of FPR95


def _checked(scores: npt.ArrayLike, abnormal: npt.ArrayLike) -> tuple[Scores, Flags]:
    """Return both as arrays, the scores in the floating type they came in."""
    values, flags = np.asarray(scores), np.asarray(abnormal, dtype=bool)
    if not np.issubdtype(values.dtype, np.floating):
        values = values.astype(np.float64)
    if values.ndim != 1 or values.shape != flags.shape:
        raise UsageError(
            f"scores have shape {values.shape} and abnormal has shape {flags.shape}, but both must be [m], "
            "one entry an image. Pass the scores and the flags of the same images."
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


def _two_sided(flags: Flags) -> bool:
    return bool(flags.any() and not flags.all())


def auroc(scores: npt.ArrayLike, abnormal: npt.ArrayLike) -> float | None:
    """Area under the ROC curve: the chance that a normal image scores above an anomaly, ties counting half.

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
    values, flags = _checked(scores, abnormal)
    return float(roc_auc_score(~flags, values)) if _two_sided(flags) else None


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
            f"classes have shape {classes.shape}, but must be {flags.shape}, one entry an image. Pass the "
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
            f"anomaly classes share a name in {names}, but per-class figures need one name a class. Rename one."
        )
    return anomalies


def detection_metrics(
    scores: npt.ArrayLike,
    abnormal: npt.ArrayLike,
    classes: npt.ArrayLike,
    class_names: Sequence[str],
    normal_class: int,
) -> dict[str, Any]:
    """Return every threshold-free figure of a test set, ready for JSON.

    FPR95 is the false-positive rate at 95 % true positives with normals as the positives: the share of
    anomalies accepted as normal at the highest threshold that accepts at least 95 % of the normals.

    Parameters
    ----------
    scores : float [m]
        Normality scores; higher is more normal.
    abnormal : bool [m]
        True for anomalies.
    classes : int64 [m]
        True classes, as indices into ``class_names``.
    class_names
        One name a class.
    normal_class
        The class that no anomaly may belong to.

    Returns
    -------
    dict
        ``auroc``: all anomalies against all normals (pooled). ``auroc_per_class``: by name, that class's
        anomalies against all normals. ``auroc_mean``: the mean of those, every anomaly class counting the
        same (ELSA's protocol). ``aupr``: average precision with ``abnormal`` and with ``normal`` as the
        positives. ``fpr95``. All in [0, 1] and better when higher, except ``fpr95``; None where a side is
        missing.

    Raises
    ------
    UsageError
        A score is not finite, shapes differ, or classes, names and flags contradict each other.
    """
    values, flags = _checked(scores, abnormal)
    labels = np.asarray(classes, dtype=np.int64)
    anomalies = _anomaly_classes(flags, labels, class_names, normal_class)
    per_class = {
        class_names[c]: auroc(values[kept], flags[kept])
        for c in anomalies
        for kept in [~flags | (flags & (labels == c))]
    }
    both = _two_sided(flags)
    return {
        "auroc": auroc(values, flags),
        "auroc_mean": float(np.mean(list(per_class.values()))) if both else None,
        "auroc_per_class": per_class,
        "aupr": {
            "abnormal": float(average_precision_score(flags, -values)) if both else None,
            "normal": float(average_precision_score(~flags, values)) if both else None,
        },
        "fpr95": _fpr95(values, flags) if both else None,
    }


def _best_threshold(values: Scores, flags: Flags) -> float:
    levels, level_of = np.unique(values, return_inverse=True)
    below, above = levels[:-1], levels[1:]
    middle = below / 2 + above / 2
    # Rounding may land on the lower neighbour, which must stay rejected; the lowest level accepts everything.
    candidates = np.concatenate([levels[:1], np.where(middle > below, middle, above)])
    normals = np.bincount(level_of[~flags], minlength=levels.size)
    anomalies = np.bincount(level_of[flags], minlength=levels.size)
    # Integers throughout, so that equally good thresholds compare as equal.
    lost_normals, caught = (np.cumsum(counts) - counts for counts in (normals, anomalies))
    gain = caught * normals.sum() - lost_normals * anomalies.sum()
    tied = np.flatnonzero(gain == gain.max())
    return float(candidates[tied[(tied.size - 1) // 2]])


def fit_threshold(scores: npt.ArrayLike, abnormal: npt.ArrayLike) -> float:
    """Choose the decision threshold on held-out labelled images, which training has not seen.

    With both labels it maximises balanced accuracy, over the midpoints between neighbouring scores and the
    threshold that accepts everything; of equally good thresholds it takes the middle one. With normals alone
    it is the 5 % quantile of their scores, with anomalies alone the 95 % quantile of theirs.

    Parameters
    ----------
    scores : float [m]
        Normality scores; higher is more normal.
    abnormal : bool [m]
        True for anomalies.

    Returns
    -------
    float
        An image is normal when its score is greater than or equal to it. It is exact in the type of
        ``scores``, so comparing in that type or in float64 gives the same decisions.

    Raises
    ------
    UsageError
        There are no images, a score is not finite, or the shapes differ.
    """
    values, flags = _checked(scores, abnormal)
    if not values.size:
        raise UsageError(
            "the threshold is fitted on held-out labelled images, but there are none. Label some images and "
            "give --data.held_out_ratio a value above 0, or set the threshold by hand."
        )
    if _two_sided(flags):
        return _best_threshold(values, flags)
    return float(np.quantile(values, 0.95 if flags[0] else 0.05))


def decision_metrics(scores: npt.ArrayLike, abnormal: npt.ArrayLike, threshold: float) -> dict[str, Any]:
    """Return the figures of the decisions at a threshold, with anomalies as the positives.

    Parameters
    ----------
    scores : float [m]
        Normality scores; higher is more normal. An image is called normal when its score >= ``threshold``.
    abnormal : bool [m]
        True for anomalies.
    threshold
        In the units of ``scores``.

    Returns
    -------
    dict
        ``threshold``; the counts ``true_positives`` (anomalies flagged), ``false_positives`` (normals
        flagged), ``true_negatives`` (normals accepted) and ``false_negatives`` (anomalies accepted);
        ``accuracy``; ``recall_abnormal`` = TP / (TP + FN); ``precision_abnormal`` = TP / (TP + FP);
        ``false_alarm_rate`` = FP / (FP + TN); ``balanced_accuracy``, the mean of the two sides' accuracies.
        Shares are in [0, 1], and None where they would divide by zero.

    Raises
    ------
    UsageError
        A score or the threshold is not finite, or the shapes differ.
    """
    values, flags = _checked(scores, abnormal)
    if not np.isfinite(threshold):
        raise UsageError(
            f"the threshold is {threshold}, but must be a finite score. Fit it on held-out labelled images."
        )
    flagged = ~(values >= threshold)
    hit, alarm = int((flagged & flags).sum()), int((flagged & ~flags).sum())
    anomalies = int(flags.sum())
    normals = flags.size - anomalies
    recall = hit / anomalies if anomalies else None
    false_alarm_rate = alarm / normals if normals else None
    balanced = None
    if recall is not None and false_alarm_rate is not None:
        balanced = (recall + 1 - false_alarm_rate) / 2
    return {
        "threshold": float(threshold),
        "true_positives": hit,
        "false_positives": alarm,
        "true_negatives": normals - alarm,
        "false_negatives": anomalies - hit,
        "accuracy": (hit + normals - alarm) / flags.size if flags.size else None,
        "balanced_accuracy": balanced,
        "recall_abnormal": recall,
        "precision_abnormal": hit / (hit + alarm) if hit + alarm else None,
        "false_alarm_rate": false_alarm_rate,
    }
