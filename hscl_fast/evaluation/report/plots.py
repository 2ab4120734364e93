"""The report's pictures, each returned as a ``data:`` URI or as the path of an inline SVG."""

from __future__ import annotations

import base64
import io
import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from PIL import Image
from sklearn.metrics import roc_curve

from hscl_fast.method.objective import TERMS

Scores = npt.NDArray[np.floating[Any]]
Flags = npt.NDArray[np.bool_]

NORMAL_COLOUR, ABNORMAL_COLOUR, INK, FAINT = "#2563eb", "#dc2626", "#1f2937", "#9ca3af"
PIXELS_PER_INCH = 160
MAX_THUMBNAIL = 128  # pixels; keeps a report of large photographs at a few hundred kilobytes
SMOOTH_FROM = 40  # rows of history from which a trailing mean is drawn over the raw curve
BINS = 48

LOSS_TITLES = {**{term.name: term.title for term in TERMS}, "learning_rate": "Learning rate"}


def _data_uri(png: bytes) -> str:
    return "data:image/png;base64," + base64.b64encode(png).decode("ascii")


def _figure_uri(figure: Figure) -> str:
    buffer = io.BytesIO()
    # Without the Software entry, which holds a link and a version, equal data give equal bytes.
    FigureCanvasAgg(figure).print_png(buffer, metadata={"Software": None})
    return _data_uri(buffer.getvalue())


def _figure(width: float, height: float) -> Figure:
    return Figure(figsize=(width, height), dpi=PIXELS_PER_INCH, layout="constrained", facecolor="white")


def _style(axes: Axes, x_label: str, y_label: str) -> None:
    axes.spines[["top", "right"]].set_visible(False)
    axes.spines[["left", "bottom"]].set_color(FAINT)
    axes.tick_params(colors=INK, labelsize=8, color=FAINT)
    axes.set_xlabel(x_label, fontsize=9, color=INK)
    axes.set_ylabel(y_label, fontsize=9, color=INK)
    axes.grid(color="#e5e7eb", linewidth=0.6)
    axes.set_axisbelow(True)


def thumbnail(image: npt.NDArray[np.uint8]) -> str:
    """Return an image uint8 [H, W, 3] as a PNG ``data:`` URI, at most ``MAX_THUMBNAIL`` pixels per side."""
    picture = Image.fromarray(np.ascontiguousarray(image))
    picture.thumbnail((MAX_THUMBNAIL, MAX_THUMBNAIL))
    buffer = io.BytesIO()
    picture.save(buffer, "PNG")
    return _data_uri(buffer.getvalue())


def _series(history: Sequence[dict[str, Any]], key: str) -> tuple[Scores, Scores]:
    """Return the steps and the values of the rows that have a finite number under ``key``."""
    pairs = [(row["step"], row[key]) for row in history if row.get(key) is not None]
    points = np.array(pairs, dtype=np.float64).reshape(-1, 2)
    points = points[np.isfinite(points[:, 1])]
    return points[:, 0], points[:, 1]


def _draw_series(axes: Axes, steps: Scores, values: Scores, noisy: bool) -> None:
    if len(values) < SMOOTH_FROM or not noisy:
        marker = "o" if len(values) < SMOOTH_FROM else None
        axes.plot(steps, values, color=NORMAL_COLOUR, linewidth=1.4, marker=marker, markersize=2.5)
        return
    window = len(values) // 20
    trailing = np.convolve(values, np.ones(window) / window, mode="valid")
    axes.plot(steps, values, color=NORMAL_COLOUR, linewidth=0.7, alpha=0.3)
    axes.plot(steps[window - 1 :], trailing, color=NORMAL_COLOUR, linewidth=1.6)


def loss_curves(history: Sequence[dict[str, Any]]) -> str | None:
    """Plot every known loss in the history, and the learning rate, over steps: one panel each.

    Parameters
    ----------
    history
        Rows of ``metrics.jsonl``, each with ``step`` and some of the keys of ``LOSS_TITLES``.

    Returns
    -------
    str or None
        PNG ``data:`` URI; None when there is nothing to plot.
    """
    series = {key: _series(history, key) for key in LOSS_TITLES}
    series = {key: points for key, points in series.items() if points[0].size}
    if not series:
        return None
    columns = min(3, len(series))
    rows = math.ceil(len(series) / columns)
    figure = _figure(3.5 * columns, 2.2 * rows)
    for position, (key, (steps, values)) in enumerate(series.items(), start=1):
        axes = figure.add_subplot(rows, columns, position)
        _draw_series(axes, steps, values, noisy=key != "learning_rate")
        _style(axes, "step", "")
        axes.set_title(LOSS_TITLES[key], fontsize=10, color=INK, loc="left")
    return _figure_uri(figure)


def roc(scores: Scores, abnormal: Flags, threshold: float) -> str | None:
    """Plot the ROC curve with anomalies as the positives, and the decision threshold on it.

    Parameters
    ----------
    scores : float [m]
        Anomaly scores; higher is more anomalous.
    abnormal : bool [m]
        True for anomalies.
    threshold
        Images scoring above it are flagged.

    Returns
    -------
    str or None
        PNG ``data:`` URI; None when there are no normals or no anomalies.
    """
    if not abnormal.any() or abnormal.all():
        return None
    false_alarms, recall, _ = roc_curve(abnormal, scores)
    flagged = scores > threshold
    figure = _figure(4.0, 3.5)
    axes = figure.add_subplot()
    axes.plot([0, 1], [0, 1], color=FAINT, linewidth=1, linestyle=":", label="chance")
    axes.fill_between(false_alarms, recall, color=NORMAL_COLOUR, alpha=0.08, linewidth=0)
    axes.plot(false_alarms, recall, color=NORMAL_COLOUR, linewidth=1.8, label="scores")
    axes.plot(
        [flagged[~abnormal].mean()],
        [flagged[abnormal].mean()],
        "o",
        color=INK,
        label="at the threshold",
        clip_on=False,
        zorder=3,
    )
    _style(axes, "false alarms: share of normals flagged", "recall: share of anomalies flagged")
    axes.set(xlim=(0, 1), ylim=(0, 1))
    axes.legend(loc="lower right", fontsize=8, frameon=False)
    return _figure_uri(figure)


def score_range(scores: Scores, threshold: float) -> tuple[float, float]:
    """Return the score axis' ends: the central 99 % of the scores, and the threshold, with a margin."""
    low, high = np.quantile(scores.astype(np.float64), [0.005, 0.995])
    low, high = min(float(low), threshold), max(float(high), threshold)
    margin = 0.04 * (high - low) or 0.5 * abs(high) or 0.5
    return low - margin, high + margin


def histogram(scores: Scores, abnormal: Flags, threshold: float) -> str | None:
    """Plot the scores of normals and of anomalies, each side's bars summing to 100 %.

    Parameters
    ----------
    scores : float [m]
        Anomaly scores; higher is more anomalous. Scores beyond the axis are counted in the outermost bars.
    abnormal : bool [m]
        True for anomalies.
    threshold
        Drawn as a vertical line.

    Returns
    -------
    str or None
        PNG ``data:`` URI; None when there are no scores.
    """
    if not scores.size:
        return None
    low, high = score_range(scores, threshold)
    edges = np.linspace(low, high, BINS + 1)
    figure = _figure(6.0, 3.5)
    axes = figure.add_subplot()
    sides = (("normal", ~abnormal, NORMAL_COLOUR), ("abnormal", abnormal, ABNORMAL_COLOUR))
    for name, side, colour in sides:
        if side.any():
            share = 100 * np.histogram(scores[side].clip(low, high), edges)[0] / side.sum()
            axes.stairs(share, edges, fill=True, color=colour, alpha=0.35)
            axes.stairs(share, edges, color=colour, linewidth=1.2, label=f"{name} ({side.sum():,})")
    axes.axvline(threshold, color=INK, linewidth=1.2, linestyle="--", label="threshold")
    _style(axes, "← more normal     anomaly score     more anomalous →", "% of the normal or abnormal images")
    axes.set_xlim(low, high)
    axes.legend(fontsize=8, frameon=False, loc="upper right")
    return _figure_uri(figure)


def density_path(scores: Scores, low: float, high: float, width: float, height: float) -> str:
    """Return the histogram of ``scores`` as an SVG path in a box of ``width`` by ``height`` units.

    The tallest bar fills the height; scores beyond [``low``, ``high``] are counted in the outermost bars.
    """
    counts, _ = np.histogram(scores.astype(np.float64).clip(low, high), BINS, (low, high))
    tops = height * (1 - counts / counts.max())
    step = width / BINS
    bars = " ".join(f"V{top:.1f} H{step * (i + 1):.1f}" for i, top in enumerate(tops))
    return f"M0 {height:.1f} {bars} V{height:.1f} Z"
