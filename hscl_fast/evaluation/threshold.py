"""How the decision threshold comes about: by balanced accuracy, by a bound on false alarms, or by hand."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from hscl_fast.config.sections import EvaluateConfig
from hscl_fast.counted import counted
from hscl_fast.errors import UsageError
from hscl_fast.evaluation.bootstrap import (
    Counts,
    Interval,
    best_thresholds,
    false_alarm_thresholds,
    flagged_interval,
    interval,
    resampled,
    without_suspected,
)
from hscl_fast.evaluation.fitted_threshold import FittedThreshold, ThresholdScores, by_hand
from hscl_fast.evaluation.metrics import Flags, Scores, checked_scores, has_both_sides

LEAST_HELD_OUT = 10  # labelled images; with fewer, every threshold comes with a caution
_USUAL_SHARE = 0.05  # of one label alone that is called wrongly


@dataclass(frozen=True)
class ShareIntervals:
    """The 95 % intervals of what a threshold does on the test images, from its own interval and their number.

    Attributes
    ----------
    recall_abnormal, false_alarm_rate
        In [0, 1]; None without such images.
    """

    recall_abnormal: Interval | None
    false_alarm_rate: Interval | None


def fit_threshold(scores: npt.ArrayLike, abnormal: npt.ArrayLike) -> float:
    """Choose the decision threshold on held-out labelled images, which training has not seen.

    With both labels it maximises balanced accuracy, over the midpoints between neighbouring scores and the
    threshold that accepts everything; of equally good thresholds it takes the middle one. With normals alone at most
    5 % of them are above it, with anomalies alone at most 5 % below.

    Parameters
    ----------
    scores : float [m]
        Anomaly scores; higher is more anomalous.
    abnormal : bool [m]
        True for anomalies.

    Returns
    -------
    float
        An image is abnormal when its score is greater. It is exact in the type of ``scores``, so comparing in that
        type or in float64 gives the same decisions.

    Raises
    ------
    UsageError
        There are no images, a score is not finite, or the shapes differ.
    """
    values, flags = checked_scores(scores, abnormal)
    if not values.size:
        raise UsageError(
            "the threshold is fitted on held-out labelled images, but there are none. Label some images and "
            "give --data.held_out_ratio a value above 0, or set the threshold by hand."
        )
    normals, anomalies = int((~flags).sum()), int(flags.sum())
    return float(_fit(values, flags, (np.ones((1, normals), np.int64), np.ones((1, anomalies), np.int64)))[0])


def _fit(values: Scores, flags: Flags, counts: tuple[Counts, ...]) -> npt.NDArray[np.float64]:
    """Return the threshold of every row of the counts, those of normals and those of anomalies."""
    if not has_both_sides(flags):
        sign, own = (-1, counts[1]) if flags[0] else (1, counts[0])
        return sign * false_alarm_thresholds(sign * values, _USUAL_SHARE, own)
    both = np.zeros((len(counts[0]), len(values)), np.int64)
    both[:, ~flags], both[:, flags] = counts
    return best_thresholds(values, flags, both)


def require_fittable(rule: EvaluateConfig, held_out_normals: int, unlabelled: int) -> None:
    """Check that there are images for a bound on false alarms.

    Raises
    ------
    UsageError
        The rule bounds the false alarms, but there are neither held-out normals nor unlabelled training images.
    """
    if rule.max_false_alarms is not None and not held_out_normals + unlabelled:
        raise UsageError(
            f"--evaluate.max_false_alarms is {rule.max_false_alarms}, which is fitted on held-out labelled normals and "
            "unlabelled training images, but there are none of either. Give --data.held_out_ratio a value above 0, or "
            "set the threshold with --evaluate.threshold."
        )


def choose_threshold(rule: EvaluateConfig, scores: ThresholdScores) -> FittedThreshold:
    """Return the threshold that a configuration asks for, with its interval.

    Parameters
    ----------
    rule
        ``threshold``, ``max_false_alarms`` and ``contamination``; with neither of the first two it is fitted to the
        held-out labelled images or, if there are none, to the training images.
    scores
        What it is fitted to.

    Raises
    ------
    UsageError
        There are no images for it.
    """
    if rule.threshold is not None:
        return by_hand(rule.threshold)
    if rule.max_false_alarms is not None:
        return _bounded(rule.max_false_alarms, rule.contamination, scores)
    values, flags = scores.held_out, scores.held_out_abnormal
    source = counted(len(values), "held-out labelled image")
    if not len(values):
        values, flags = scores.training, np.zeros(len(scores.training), bool)
        source = f"{1 - _USUAL_SHARE:.0%} quantile of the training scores (no labelled images were held out)"
    value = fit_threshold(values, flags)
    sizes = (int((~flags).sum()), int(flags.sum()))
    drawn = resampled(sizes, lambda counts: _fit(values, flags, counts))
    ends = None if 1 in sizes else interval(drawn)  # a single image is always drawn again
    return FittedThreshold(value, source, ends, _caution(len(scores.held_out)), drawn)


def _bounded(share: float, contamination: float, scores: ThresholdScores) -> FittedThreshold:
    held_out, unlabelled = scores.held_out[~scores.held_out_abnormal], scores.unlabelled
    unsuspected = without_suspected(unlabelled, contamination)
    normals = np.concatenate([held_out, unsuspected])
    value = float(false_alarm_thresholds(normals, share, np.ones((1, len(normals)), np.int64))[0])
    drawn = resampled((len(normals),), lambda counts: false_alarm_thresholds(normals, share, counts[0]))
    suspected = len(unlabelled) - len(unsuspected)
    source = (
        f"at most {100 * share:.4g} % false alarms among {counted(len(held_out), 'held-out normal')} and "
        f"{counted(len(unlabelled), 'unlabelled image')}, {suspected:,} of these taken for anomalies"
    )
    ends = None if len(normals) == 1 else interval(drawn)
    return FittedThreshold(value, source, ends, _caution(len(scores.held_out)), drawn)


def _caution(held_out: int) -> str | None:
    if held_out >= LEAST_HELD_OUT:
        return None
    there = f"only {counted(held_out, 'labelled image')} held out" if held_out else "no labelled images held out"
    return f"{there}, so the threshold may be far off: label more images, or check it on images that you know"


def share_intervals(scores: Scores, abnormal: Flags, fitted: FittedThreshold) -> ShareIntervals:
    """Return the intervals of recall and false alarms on test images: float ``[m]`` anomaly scores, bool ``[m]``."""
    recall, false_alarms = (flagged_interval(scores[side], fitted.resampled) for side in (abnormal, ~abnormal))
    return ShareIntervals(recall, false_alarms)
