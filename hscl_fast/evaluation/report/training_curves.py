"""The course of training: every loss, the learning rate and the held-out AUROC over the steps."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes

from hscl_fast.evaluation.metrics import Scores
from hscl_fast.evaluation.report.curves import COLOURS, DASHES, plain_text
from hscl_fast.evaluation.report.figure import INK, figure_uri, new_figure, style
from hscl_fast.method.objective import TERMS

SMOOTH_FROM = 40  # rows of history from which a trailing mean is drawn over the raw curve

TITLES = {
    **{term.name: term.title for term in TERMS},
    "learning_rate": "Learning rate",
    "held_out_auroc": "AUROC on held-out labelled images",
}
_SMOOTH = ("learning_rate", "held_out_auroc")
History = Sequence[dict[str, Any]]


def training_curves(histories: Mapping[str, History], keys: Sequence[str] = tuple(TITLES)) -> str | None:
    """Plot what is known in the histories of some runs over the steps: one panel each.

    Parameters
    ----------
    histories
        By the name of the run: rows of ``metrics.jsonl``, each with ``step`` and some of ``keys``.
    keys
        Which of ``TITLES`` to draw.

    Returns
    -------
    str or None
        PNG ``data:`` URI; None when there is nothing to plot.
    """
    panels = {key: {name: _series(history, key) for name, history in histories.items()} for key in keys}
    panels = {key: drawn for key, lines in panels.items() if (drawn := {n: s for n, s in lines.items() if s[0].size})}
    if not panels:
        return None
    columns = min(3, len(panels))
    rows = math.ceil(len(panels) / columns)
    figure = new_figure(3.5 * columns, 2.2 * rows)
    places = {name: place for place, name in enumerate(histories)}
    for position, (key, lines) in enumerate(panels.items(), start=1):
        axes = figure.add_subplot(rows, columns, position)
        for name, (steps, values) in lines.items():
            _draw(axes, steps, values, name, places[name], noisy=key not in _SMOOTH)
        style(axes, "step", "")
        axes.set_title(TITLES[key], fontsize=10, color=INK, loc="left")
        if len(histories) > 1 and position == 1:
            axes.legend(fontsize=7, frameon=False, labelcolor=INK)
    return figure_uri(figure)


def _series(history: History, key: str) -> tuple[Scores, Scores]:
    """Return the steps and the values of the rows that have a finite number under ``key``."""
    pairs = [(row["step"], row[key]) for row in history if row.get(key) is not None]
    points = np.array(pairs, dtype=np.float64).reshape(-1, 2)
    points = points[np.isfinite(points[:, 1])]
    return points[:, 0], points[:, 1]


def _draw(axes: Axes, steps: Scores, values: Scores, name: str, place: int, *, noisy: bool) -> None:
    colour, dash = COLOURS[place % len(COLOURS)], DASHES[place // len(COLOURS) % len(DASHES)]
    label = plain_text(name)
    if len(values) < SMOOTH_FROM or not noisy:
        marker = "o" if len(values) < SMOOTH_FROM else None
        axes.plot(
            steps, values, color=colour, linestyle=dash, linewidth=1.4, marker=marker, markersize=2.5, label=label
        )
        return
    window = len(values) // 20
    trailing = np.convolve(values, np.ones(window) / window, mode="valid")
    axes.plot(steps, values, color=colour, linewidth=0.7, alpha=0.3)
    axes.plot(steps[window - 1 :], trailing, color=colour, linestyle=dash, linewidth=1.6, label=label)
