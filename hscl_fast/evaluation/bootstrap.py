"""Thresholds of resampled images, and the intervals that follow: always the same draws, all at once in NumPy."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import numpy.typing as npt

Scores = npt.NDArray[np.floating[Any]]
Counts = npt.NDArray[np.int64]
Interval = tuple[float, float]

DRAWS, _LEAST_DRAWS = 1000, 200  # resamplings, at most and at least
_NUMBERS = 20_000_000  # drawn in all; a threshold of so many images hardly varies, and 200 draws show it
_AT_ONCE = 2_000_000  # numbers in memory
_ENDS = (0.025, 0.975)


def best_thresholds(scores: Scores, abnormal: npt.NDArray[np.bool_], counts: Counts) -> npt.NDArray[np.float64]:
    """Return the thresholds with the best balanced accuracy, one for each row of counts.

    Candidates are the midpoints between neighbouring scores and the highest score, which accepts everything; of equally
    good ones it is the middle one.

    Parameters
    ----------
    scores : float [m]
        Anomaly scores.
    abnormal : bool [m]
        True for anomalies; both labels are there.
    counts : int64 [B, m]
        How often each image is there.
    """
    order = np.argsort(scores, kind="stable")
    values, flags, counts = scores[order], abnormal[order], counts[:, order]
    last = np.append(np.flatnonzero(values[1:] != values[:-1]), values.size - 1)  # of every level
    levels = values[last]
    below, above = levels[:-1], levels[1:]
    middle = below / 2 + above / 2
    # Rounding may land on the upper neighbour, which must stay flagged; the highest level accepts everything.
    candidates = np.concatenate([np.where(middle < above, middle, below), levels[-1:]]).astype(np.float64)
    # Integers throughout, so that equally good thresholds compare as equal.
    accepted, missed = (np.cumsum(counts * side, axis=1)[:, last] for side in (~flags, flags))
    gain = accepted * missed[:, -1:] - missed * accepted[:, -1:]
    rank = np.cumsum(gain == gain.max(axis=1, keepdims=True), axis=1)
    return candidates[(rank > rank[:, -1:] // 2).argmax(axis=1)]


def false_alarm_thresholds(normals: Scores, share: float, counts: Counts) -> npt.NDArray[np.float64]:
    """Return the lowest thresholds that at most a share of the normals exceeds, one for each row of counts.

    Parameters
    ----------
    normals : float [n]
        Anomaly scores of normals; there is at least one.
    share
        In [0, 1).
    counts : int64 [B, n]
        How often each image is there; every row sums to ``n``.
    """
    allowed = rounded_down(share * len(normals))
    order = np.argsort(-normals, kind="stable")
    above = np.cumsum(counts[:, order], axis=1)
    return normals[order].astype(np.float64)[(above > allowed).argmax(axis=1)]


def without_suspected(unlabelled: Scores, contamination: float) -> Scores:
    """Return the anomaly scores of unlabelled images without the share of them, rounded down, with the highest."""
    return np.sort(unlabelled)[: len(unlabelled) - rounded_down(contamination * len(unlabelled))]


def rounded_down(number: float) -> int:
    """Return a number rounded down, where a product such as 0.29 * 100 counts as the 29 that it stands for."""
    return int(number + 1e-9)


def resampled(
    sizes: tuple[int, ...], fit: Callable[[tuple[Counts, ...]], npt.NDArray[np.float64]]
) -> npt.NDArray[np.float64]:
    """Return what is fitted to resampled groups of images, each drawn with replacement in its own size.

    Parameters
    ----------
    sizes
        The number of images of every group.
    fit
        Takes the counts of every group, int64 ``[B, size]``, and returns float64 ``[B]``.
    """
    return np.concatenate([fit(counts) for counts in _draws(sizes)])


def _draws(sizes: tuple[int, ...]) -> Iterator[tuple[Counts, ...]]:
    rng, total = np.random.default_rng(0), max(1, sum(sizes))
    left = max(_LEAST_DRAWS, min(DRAWS, _NUMBERS // total))
    while left:
        draws = min(left, max(1, _AT_ONCE // total))
        yield tuple(_drawn(rng, size, draws) for size in sizes)
        left -= draws


def _drawn(rng: np.random.Generator, size: int, draws: int) -> Counts:
    if not size:
        return np.zeros((draws, 0), np.int64)
    return rng.multinomial(size, np.full(size, 1 / size), draws).astype(np.int64)


def interval(values: Scores) -> Interval:
    """Return the central 95 % of resampled values."""
    low, high = np.quantile(values, _ENDS)
    return float(low), float(high)


def flagged_interval(scores: Scores, thresholds: Scores) -> Interval | None:
    """Return the 95 % interval of the share of images above a threshold that may be any of ``thresholds``.

    At each of these, the share is drawn from what k of n images say of it: Beta(k + 1/2, n - k + 1/2), by Jeffreys. To
    resample the images in place of that would say that 3 of 3 are 100 % for sure.

    Parameters
    ----------
    scores : float [n]
        Anomaly scores.
    thresholds : float [B]
        Of resampled held-out images, or often the same one.

    Returns
    -------
    (float, float) or None
        None where there are no images.
    """
    if not len(scores):
        return None
    above = len(scores) - np.searchsorted(np.sort(scores), thresholds, side="right")
    return interval(np.random.default_rng(0).beta(above + 0.5, len(scores) - above + 0.5))
