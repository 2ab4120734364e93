"""How scores are spread: histograms of all images, and a strip for each class."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from hscl_fast.evaluation.metrics import Flags, Scores, auroc
from hscl_fast.evaluation.report.figure import ABNORMAL_COLOUR, INK, NORMAL_COLOUR, figure_uri, new_figure, style
from hscl_fast.evaluation.report.scored import ScoredImages
from hscl_fast.evaluation.suspects import Suspects

BINS = 48
STRIP_WIDTH, STRIP_HEIGHT = 300.0, 30.0


@dataclass(frozen=True)
class Side:
    """Some of the images in a histogram.

    Attributes
    ----------
    name
        In the legend.
    anomaly_scores : float [m]
        Higher is more anomalous.
    colour
        As matplotlib takes it.
    """

    name: str
    anomaly_scores: Scores
    colour: str


def score_range(scores: Scores, threshold: float) -> tuple[float, float]:
    """Return the score axis' ends: the central 99 % of the scores, and the threshold, with a margin."""
    low, high = np.quantile(scores.astype(np.float64), [0.005, 0.995])
    low, high = min(float(low), threshold), max(float(high), threshold)
    margin = 0.04 * (high - low) or 0.5 * abs(high) or 0.5
    return low - margin, high + margin


def test_histogram(scored: ScoredImages, threshold: float) -> str | None:
    """Plot the scores of the normal and of the abnormal test images: see :func:`histogram`."""
    scores, abnormal = scored.anomaly_scores, scored.images.abnormal
    return histogram(
        [Side("normal", scores[~abnormal], NORMAL_COLOUR), Side("abnormal", scores[abnormal], ABNORMAL_COLOUR)],
        threshold,
    )


def training_histogram(suspects: Suspects, threshold: float) -> str | None:
    """Plot the scores of the unlabelled training images, hidden anomalies apart where they are known."""
    scores = np.array([image.anomaly_score for image in suspects.images])
    hidden = np.array([bool(image.hidden_anomaly) for image in suspects.images], np.bool_)
    if not hidden.any():
        return histogram([Side("unlabelled training images", scores, NORMAL_COLOUR)], threshold)
    sides = [
        Side("unlabelled, normal", scores[~hidden], NORMAL_COLOUR),
        Side("unlabelled, hidden anomalies", scores[hidden], ABNORMAL_COLOUR),
    ]
    return histogram(sides, threshold)


def histogram(sides: Sequence[Side], threshold: float) -> str | None:
    """Plot the scores of some kinds of images, the bars of each kind summing to 100 %.

    Scores beyond the axis are counted in the outermost bars.

    Returns
    -------
    str or None
        PNG ``data:`` URI; None when there are no scores.
    """
    sides = [side for side in sides if side.anomaly_scores.size]
    if not sides:
        return None
    low, high = score_range(np.concatenate([side.anomaly_scores for side in sides]), threshold)
    edges = np.linspace(low, high, BINS + 1)
    figure = new_figure(3.9, 3.4)
    axes = figure.add_subplot()
    for side in sides:
        scores = side.anomaly_scores.astype(np.float64).clip(low, high)
        share = 100 * np.histogram(scores, edges)[0] / len(scores)
        axes.stairs(share, edges, fill=True, color=side.colour, alpha=0.35)
        axes.stairs(share, edges, color=side.colour, linewidth=1.2, label=f"{side.name} ({len(scores):,})")
    axes.axvline(threshold, color=INK, linewidth=1.2, linestyle="--", label="threshold")
    style(axes, "anomaly score (more anomalous →)", "% of the images of each kind")
    axes.set_xlim(low, high)
    axes.legend(fontsize=8, frameon=False, loc="best", labelcolor=INK)
    return figure_uri(figure)


@dataclass(frozen=True)
class Strip:
    """The images of one class.

    Attributes
    ----------
    name, is_abnormal, images
        The class, and how many images it has.
    auroc
        Of an anomaly class against all normals; None for a normal class, and without normals.
    flagged
        The share of its images above the threshold.
    path
        Their histogram, as the path of an SVG.
    """

    name: str
    is_abnormal: bool
    images: int
    auroc: float | None
    flagged: float
    path: str


@dataclass(frozen=True)
class Strips:
    """The classes, the normal ones first, then the anomaly classes from the hardest to the easiest.

    Attributes
    ----------
    rows
        One per class.
    low, high
        The ends of the score axis.
    position
        Where the threshold is on it, in [0, ``width``].
    width, height
        Of a strip.
    """

    rows: list[Strip]
    low: float
    high: float
    position: float
    width: float = STRIP_WIDTH
    height: float = STRIP_HEIGHT


def strips(scored: ScoredImages, threshold: float) -> Strips | None:
    """Return a row for every class among the test images, or None without any."""
    scores, abnormal, classes = scored.anomaly_scores, scored.images.abnormal, scored.images.classes
    if not scores.size:
        return None
    low, high = score_range(scores, threshold)
    rows = [
        _strip(
            scored,
            abnormal & (classes == label) if is_abnormal else ~abnormal & (classes == label),
            threshold,
            low,
            high,
        )
        for is_abnormal, label in sorted({(bool(a), int(c)) for a, c in zip(abnormal, classes, strict=True)})
    ]
    rows.sort(key=lambda row: (row.is_abnormal, -1.0 if row.auroc is None else row.auroc))
    return Strips(rows, low, high, STRIP_WIDTH * (threshold - low) / (high - low))


def _strip(scored: ScoredImages, own: Flags, threshold: float, low: float, high: float) -> Strip:
    scores, abnormal = scored.anomaly_scores, scored.images.abnormal
    first = int(np.flatnonzero(own)[0])
    is_abnormal, kept = bool(abnormal[first]), ~abnormal | own
    return Strip(
        name=scored.class_names[scored.images.classes[first]],
        is_abnormal=is_abnormal,
        images=int(own.sum()),
        auroc=auroc(-scores[kept], abnormal[kept]) if is_abnormal else None,
        flagged=float((scores[own] > threshold).mean()),
        path=density_path(scores[own], low, high, STRIP_WIDTH, STRIP_HEIGHT),
    )


def density_path(scores: Scores, low: float, high: float, width: float, height: float) -> str:
    """Return the histogram of ``scores`` as an SVG path in a box of ``width`` by ``height`` units.

    The tallest bar fills the height; scores beyond [``low``, ``high``] are counted in the outermost bars.
    """
    counts, _ = np.histogram(scores.astype(np.float64).clip(low, high), BINS, (low, high))
    tops = height * (1 - counts / counts.max())
    step = width / BINS
    bars = " ".join(f"V{top:.1f} H{step * (i + 1):.1f}" for i, top in enumerate(tops))
    return f"M0 {height:.1f} {bars} V{height:.1f} Z"
