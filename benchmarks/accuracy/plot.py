"""The plot of docs/accuracy.md: AUROC against the compute and against the time of a training."""

from __future__ import annotations

import io
import math
from collections.abc import Sequence
from statistics import mean

import matplotlib
from matplotlib.axes import Axes
from matplotlib.backends.backend_svg import FigureCanvasSVG
from matplotlib.figure import Figure
from matplotlib.ticker import NullLocator

from benchmarks.accuracy.results import Record, Results
from benchmarks.accuracy.settings import Setting, accuracy, by_setting, of_trial, pairs_of, peers_of
from hscl_fast.many_runs.means import mean_of

INK, FAINT, GRID = "#1f2937", "#9ca3af", "#e5e7eb"
COLOURS = ("#2563eb", "#dc2626", "#059669", "#d97706", "#7c3aed", "#0891b2", "#db2777", "#65a30d", "#475569", "#b45309")
MARKERS = ("o", "s", "^", "D", "v", "P")
PEER_MARKERS = ("x", "+", "1", "2", "3", "4", "*")
_WIDTH, _HEIGHT, _LEGEND = 10.0, 3.1, 0.17  # inches: of the figure, of a row of panels, of a line of the legend


def accuracy_svg(results: Results) -> bytes:
    """Return :func:`accuracy_figure` as SVG; equal results give equal bytes."""
    with matplotlib.rc_context({"svg.hashsalt": "hscl-fast", "svg.fonttype": "none"}), io.BytesIO() as buffer:
        FigureCanvasSVG(accuracy_figure(results)).print_svg(buffer, metadata={"Date": None, "Creator": None})
        return buffer.getvalue()


def accuracy_figure(results: Results) -> Figure:
    """Return the plot of all settings.

    Each row is a setting: on the left the AUROC of the trials against the operations of their training, with peers as
    lines, and on the right against seconds, with peers as points.
    """
    trials = [(name, trial) for name, table in results["tables"].items() for trial in table["trials"]]
    settings = by_setting(results["runs"])
    names = [*dict.fromkeys(name for records in settings.values() for name in peers_of(records))]
    shown = [*trials, *names]
    legend_rows = -(-len(shown) // 4)
    figure = Figure(figsize=(_WIDTH, _HEIGHT * len(settings) + _LEGEND * legend_rows + 0.3), layout="constrained")
    panels = figure.subplots(len(settings), 2, squeeze=False, sharey="row")
    for (left, right), (setting, records) in zip(panels, settings.items(), strict=True):
        _draw_row(left, right, setting, records, trials, names)
    handles, labels = [], []
    for axes in panels.flat:
        for handle, label in zip(*axes.get_legend_handles_labels(), strict=True):
            if label not in labels:
                handles.append(handle)
                labels.append(label)
    figure.legend(handles, labels, loc="outside lower center", ncols=4, fontsize=8, frameon=False)
    return figure


def _draw_row(
    left: Axes,
    right: Axes,
    setting: Setting,
    records: Sequence[Record],
    trials: Sequence[tuple[str, str]],
    peers: Sequence[str],
) -> None:
    several = len({table for table, _ in trials}) > 1
    for position, (table, trial) in enumerate(trials):
        runs = of_trial([record for record in records if record["table"] == table], trial)
        if not runs:
            continue
        found = mean_of([*pairs_of(runs).values()])
        colour = COLOURS[position % len(COLOURS)]
        marker = MARKERS[position // len(COLOURS) % len(MARKERS)]
        for axes, figure in ((left, "training_flops"), (right, "total_seconds")):
            axes.errorbar(
                [mean(run[figure] for run in runs)],
                [found.value],
                yerr=None
                if found.half_width is None
                else [[found.half_width], [min(found.half_width, 100 - found.value)]],
                fmt=marker,
                color=colour,
                markersize=5,
                elinewidth=0.8,
                alpha=0.9,
                label=f"{trial} ({table})" if several else trial,
            )
    for name, figures in peers_of(records).items():
        value = mean(value for one in figures if (value := accuracy(one)) is not None)
        marker = PEER_MARKERS[peers.index(name) % len(PEER_MARKERS)]
        left.axhline(value, color=FAINT, linewidth=0.8, linestyle=":")
        seconds = max(0.01, mean(figure["seconds"] for figure in figures))
        right.plot([seconds], [value], marker, color=INK, markersize=6, label=name.replace("_", " "))
    _style(left, "operations of the training (FLOP); dotted: peers")
    _style(right, "seconds in all")
    left.set_ylabel("AUROC, %", fontsize=9, color=INK)
    left.set_title(setting.title, fontsize=9, color=INK, loc="left")


def _style(axes: Axes, label: str) -> None:
    axes.set_xscale("log")
    low, high = (math.log10(end) for end in axes.get_xlim())
    axes.set_xlim(10 ** math.floor(low), 10 ** math.ceil(high))  # whole decades, whose ends are labelled
    axes.xaxis.set_minor_locator(NullLocator())
    axes.spines[["top", "right"]].set_visible(False)
    axes.spines[["left", "bottom"]].set_color(FAINT)
    axes.tick_params(colors=INK, labelsize=8, color=FAINT)
    axes.set_xlabel(label, fontsize=8, color=INK)
    axes.grid(color=GRID, linewidth=0.6)
    axes.set_axisbelow(True)
