"""ROC and precision-recall curves, of one run or of several."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from matplotlib.axes import Axes
from sklearn.metrics import precision_recall_curve, roc_curve

from hscl_fast.evaluation.metrics import Flags, Scores, has_both_sides
from hscl_fast.evaluation.report.figure import FAINT, INK, NORMAL_COLOUR, figure_uri, new_figure, style

_DRAWN = 1000  # points of a curve; more are not seen
COLOURS = (NORMAL_COLOUR, "#d97706", "#059669", "#9333ea", "#dc2626", "#0891b2", "#4b5563", "#db2777")
DASHES = ("-", "--", "-.", ":")


@dataclass(frozen=True)
class Detected:
    """The scores of a test set.

    Attributes
    ----------
    name
        In the legend.
    anomaly_scores : float [m]
        Higher is more anomalous.
    abnormal : bool [m]
        True for anomalies.
    threshold
        An image is flagged above it.
    """

    name: str
    anomaly_scores: Scores
    abnormal: Flags
    threshold: float


def roc(detected: Sequence[Detected]) -> str | None:
    """Plot the ROC curves with anomalies as the positives, and the decision thresholds on them.

    Returns
    -------
    str or None
        PNG ``data:`` URI; None when a test set lacks normals or anomalies.
    """
    if not all(has_both_sides(each.abnormal) for each in detected):
        return None
    figure = new_figure(3.9, 3.4)
    axes = figure.add_subplot()
    axes.plot([0, 1], [0, 1], color=FAINT, linewidth=1, linestyle=":", label="chance")
    for place, each in enumerate(detected):
        false_alarms, recall, _ = roc_curve(each.abnormal, each.anomaly_scores)
        kept = _thinned(len(recall))
        flagged = each.anomaly_scores > each.threshold
        point = float(flagged[~each.abnormal].mean()), float(flagged[each.abnormal].mean())
        _draw(axes, false_alarms[kept], recall[kept], point, each.name, place)
    style(axes, "false alarms: share of normals flagged", "recall: share of anomalies flagged")
    axes.set(xlim=(0, 1), ylim=(0, 1))
    axes.legend(loc="lower right", fontsize=8, frameon=False, labelcolor=INK)
    return figure_uri(figure)


def precision_recall(detected: Sequence[Detected]) -> str | None:
    """Plot the precision-recall curves with anomalies as the positives: see :func:`roc`."""
    if not all(has_both_sides(each.abnormal) for each in detected):
        return None
    figure = new_figure(3.9, 3.4)
    axes = figure.add_subplot()
    chance = float(np.mean([each.abnormal.mean() for each in detected]))
    axes.plot([0, 1], [chance, chance], color=FAINT, linewidth=1, linestyle=":", label="chance")
    for place, each in enumerate(detected):
        precision, recall, _ = precision_recall_curve(each.abnormal, each.anomaly_scores)
        kept = _thinned(len(recall))
        flagged = each.anomaly_scores > each.threshold
        point = None
        if flagged.any():
            point = float(flagged[each.abnormal].mean()), float(each.abnormal[flagged].mean())
        _draw(axes, recall[kept], precision[kept], point, each.name, place)
    style(axes, "recall: share of anomalies flagged", "precision: share of anomalies among flagged")
    axes.set(xlim=(0, 1), ylim=(0, 1.02))
    axes.legend(loc="lower left", fontsize=8, frameon=False, labelcolor=INK)
    return figure_uri(figure)


def _draw(axes: Axes, x: Scores, y: Scores, point: tuple[float, float] | None, name: str, place: int) -> None:
    colour, dash = COLOURS[place % len(COLOURS)], DASHES[place // len(COLOURS) % len(DASHES)]
    axes.plot(x, y, color=colour, linewidth=1.8, linestyle=dash, label=plain_text(name))
    if point is not None:
        label = "at the threshold" if place == 0 else None
        axes.plot([point[0]], [point[1]], "o", color=colour, markeredgecolor=INK, label=label, clip_on=False, zorder=3)


def plain_text(name: str) -> str:
    r"""Return a name as matplotlib shows it letter by letter, without its mathematics, and not too long.

    >>> plain_text("$x$")
    '\\$x\\$'
    """
    printable = "".join(letter if letter.isprintable() else "?" for letter in name)
    short = printable if len(printable) <= 40 else f"{printable[:18]}...{printable[-18:]}"
    return short.replace("$", r"\$").removeprefix("_")


def _thinned(points: int) -> np.ndarray:
    return np.unique(np.linspace(0, points - 1, min(points, _DRAWN)).round().astype(int))
