"""The plot of docs/benchmarks.md: time and extra memory of the objective and its peers against the number of rows."""

from __future__ import annotations

import io
from typing import Any

import matplotlib
from matplotlib.axes import Axes
from matplotlib.backends.backend_svg import FigureCanvasSVG
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, NullLocator

from benchmarks.objective_table import Cells, grouped
from benchmarks.peers import FLOOR, GPU_ONLY, OURS, PEERS

_COLOURS = (
    "#dc2626",
    "#d97706",
    "#6b7280",
    "#7c3aed",
    "#0891b2",
    "#059669",
    "#65a30d",
    "#db2777",
    "#b45309",
    "#475569",
)
_MARKERS = ("s", "^", "D", "v", "P", "X", "*", "h", "<", ">")
_INK, _GRID = "#1f2937", "#e5e7eb"


def objective_svg(results: dict[str, Any]) -> bytes:
    """Return :func:`objective_figure` as SVG; equal results give equal bytes."""
    with matplotlib.rc_context({"svg.hashsalt": "hscl-fast", "svg.fonttype": "none"}), io.BytesIO() as buffer:
        FigureCanvasSVG(objective_figure(results)).print_svg(buffer, metadata={"Date": None, "Creator": None})
        return buffer.getvalue()


def objective_figure(results: dict[str, Any]) -> Figure:
    """Return the plot of pytest-benchmark's ``results``: a row of panels for each device and dtype.

    On the left medians of time with their quartiles, on the right the extra memory; all axes are logarithmic.
    """
    groups = grouped(results)
    figure = Figure(figsize=(10, 3.6 * len(groups) + 0.9), layout="constrained")
    panels = figure.subplots(len(groups), 2, squeeze=False)
    for (left, right), ((device, dtype), cells) in zip(panels, groups.items(), strict=True):
        _draw(left, cells, "total", 1e3, f"{device.upper()}, {dtype}: forward + backward, ms")
        _draw(right, cells, "memory", 2**-20, f"{device.upper()}, {dtype}: extra memory, MiB")
    handles = {}
    for axes in panels.flat:
        handles |= dict(zip(*reversed(axes.get_legend_handles_labels()), strict=True))
    figure.legend(handles.values(), handles.keys(), loc="outside lower center", ncols=3, fontsize=8, frameon=False)
    return figure


def _draw(axes: Axes, cells: Cells, key: str, unit: float, title: str) -> None:
    """Draw a line for each variant that was measured; ours on top, the recompute floor dashed."""
    others = [name for name in (*PEERS, *GPU_ONLY) if name not in (OURS, FLOOR)]
    looks: dict[str, dict[str, Any]] = {
        name: {
            "color": _COLOURS[place % len(_COLOURS)],
            "marker": _MARKERS[place % len(_MARKERS)],
            "linewidth": 1.0,
        }
        for place, name in enumerate(others)
    }
    looks[FLOOR] = {"color": _INK, "linestyle": "--", "linewidth": 1.2}
    looks[OURS] = {"color": "#2563eb", "marker": "o", "linewidth": 2.2, "zorder": 3}
    for name, look in looks.items():
        found = {rows: variants[name][key] for rows, variants in cells.items() if name in variants}
        found = {rows: value for rows, value in found.items() if value is not None}
        if not found:
            continue
        middle = [unit * (value[1] if key == "total" else value) for value in found.values()]
        axes.plot(list(found), middle, label=name, markersize=4, **look)
        if key == "total":
            low, high = ([unit * value[place] for value in found.values()] for place in (0, 2))
            axes.fill_between(list(found), low, high, color=look["color"], alpha=0.15, linewidth=0)
    axes.set(xscale="log", yscale="log", xticks=list(cells), xlabel="rows N")
    axes.set_title(title, loc="left", fontsize=10, color=_INK)
    axes.xaxis.set_major_formatter(FuncFormatter(lambda rows, _: f"{rows / 1024:g}k" if rows >= 1024 else f"{rows:g}"))
    for axis in (axes.xaxis, axes.yaxis):
        axis.set_minor_locator(NullLocator())
    axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,g}"))
    axes.tick_params(labelsize=8, colors=_INK)
    axes.grid(color=_GRID, linewidth=0.8)
    axes.spines[["top", "right"]].set_visible(False)
