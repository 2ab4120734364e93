"""Draws Fig. 3, a t-SNE panel for each method, and Fig. 4, AUROC over a sweep, as PNG and SVG."""

from __future__ import annotations

import io
from collections.abc import Sequence
from pathlib import Path

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.backends.backend_svg import FigureCanvasSVG
from matplotlib.figure import Figure
from numpy.typing import NDArray

from hscl_fast.atomic import write_bytes
from hscl_fast.many_runs.files import RunFiles
from hscl_fast.reproduce.embeddings import Embedded, embed_run, embed_untrained
from hscl_fast.reproduce.plan import Plan
from hscl_fast.reproduce.results import CellResult, Figures, output_folder, results_of
from hscl_fast.reproduce.scenario import HSCL

INK, FAINT, GRID = "#1f2937", "#9ca3af", "#e5e7eb"
COLOURS = ("#2563eb", "#dc2626", "#059669", "#d97706", "#7c3aed", "#0891b2", "#92400e", "#65a30d", "#94a3b8")
NORMAL_COLOUR = "#000000"  # the paper's light pink is lost among the many anomalies
_PERPLEXITY, _SEED = 30.0, 0
_ACROSS = 3  # panels
_PIXELS_PER_INCH = 150


def draw_figures(plan: Plan, figures: dict[str, Figures]) -> list[str]:
    """Draw the figures of a plan for which runs have finished; return the names of the SVG files."""
    drawn = []
    splits = dict.fromkeys(cell.split for cell in plan.cells)
    for split in splits:
        results = [result for result in results_of(plan, figures) if result.cell.split == split]
        figure = _lines(plan, results) if plan.scenario.kind == "lines" else _panels(plan, results, figures)
        if figure is not None:
            _save(figure, output_folder(plan) / f"figure-{split}")
            drawn.append(f"figure-{split}.svg")
    return drawn


def _lines(plan: Plan, results: Sequence[CellResult]) -> Figure | None:
    """Return the AUROC over the columns, a line for each row and data set, with 95 % intervals."""
    series: dict[str, list[CellResult]] = {}
    for result in results:
        if result.found is not None:
            series.setdefault(result.cell.column.group or result.cell.row.title, []).append(result)
    if not series:
        return None
    figure = Figure(figsize=(6.0, 3.6), layout="constrained", dpi=_PIXELS_PER_INCH)
    axes = figure.subplots()
    for colour, (name, some) in zip(COLOURS, series.items(), strict=False):
        points = sorted((_x(result), result.found) for result in some if result.found is not None)
        axes.errorbar(
            [x for x, _ in points],
            [found.value for _, found in points],
            yerr=[found.half_width or 0.0 for _, found in points],
            color=colour,
            marker="o",
            markersize=4,
            capsize=2,
            linewidth=1.2,
            label=name,
        )
        printed = [(_x(result), result.paper) for result in some if result.paper is not None]
        if printed:
            axes.plot(*zip(*printed, strict=True), "D", markerfacecolor="none", color=INK, label=f"{name}, the paper's")
    axes.set_ylabel("AUROC, %", fontsize=9, color=INK)
    axes.set_xlabel(plan.scenario.x_label, fontsize=9, color=INK)
    axes.set_xticks(sorted({_x(result) for result in results}))
    _style(axes)
    axes.legend(fontsize=8, frameon=False)
    return figure


def _x(result: CellResult) -> float:
    assert result.cell.column.x is not None
    return result.cell.column.x


def _panels(plan: Plan, results: Sequence[CellResult], figures: dict[str, Figures]) -> Figure | None:
    """Return a t-SNE panel for the initial network and for the first run of each row."""
    panels = _embedded(plan, results, figures)
    if not panels:
        return None
    across = min(_ACROSS, len(panels))
    down = -(-len(panels) // across)
    figure = Figure(figsize=(3.0 * across, 3.2 * down + 0.4), layout="constrained", dpi=_PIXELS_PER_INCH)
    grid = figure.subplots(down, across, squeeze=False)
    for axes in grid.flat:
        axes.set_axis_off()
    for axes, (title, embedded) in zip(grid.flat, panels, strict=False):
        _draw_panel(axes, title, embedded)
    handles, labels = grid.flat[0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=5, fontsize=7, frameon=False, markerscale=3)
    return figure


def _embedded(plan: Plan, results: Sequence[CellResult], figures: dict[str, Figures]) -> list[tuple[str, Embedded]]:
    panels: list[tuple[str, Embedded]] = []
    for result in results:
        run = next((run for run in result.cell.runs if run.folder in figures), None)
        if run is None:
            continue
        directory = RunFiles(run, plan.request.runs.absolute()).directory
        if result.cell.row.method == HSCL:
            panels.insert(0, ("Initial model", embed_untrained(directory)))
        mean = figures[run.folder]["auroc_mean"]
        found = embed_run(directory, None if mean is None else 100 * mean)
        if found is not None:
            panels.append((result.cell.row.title, found))
    return panels


def _draw_panel(axes: Axes, title: str, embedded: Embedded) -> None:
    places = t_sne(embedded.features)
    others = [number for number in np.unique(embedded.classes).tolist() if number != embedded.normal_class]
    for number in [embedded.normal_class, *others]:
        some = places[embedded.classes == number]
        is_normal = number == embedded.normal_class
        colour = NORMAL_COLOUR if is_normal else COLOURS[others.index(number) % len(COLOURS)]
        name = embedded.class_names[number] + (" (normal)" if is_normal else "")
        size, layer = (5.0, 2) if is_normal else (2.0, 1)  # the few normal images on top
        axes.scatter(
            some[:, 0], some[:, 1], s=size, color=colour, linewidths=0, label=name, rasterized=True, zorder=layer
        )
    auroc = "" if embedded.auroc is None else f": AUROC {embedded.auroc:.1f} %"
    axes.set_title(f"{title}{auroc}", fontsize=9, color=INK)


def t_sne(features: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return features ``[m, F]`` in the plane, ``[m, 2]``; the same features give the same picture on a machine."""
    from sklearn.manifold import TSNE

    perplexity = min(_PERPLEXITY, max(1.0, (len(features) - 1) / 3))
    places: NDArray[np.float32] = TSNE(perplexity=perplexity, init="pca", random_state=_SEED).fit_transform(features)
    return places


def _style(axes: Axes) -> None:
    axes.spines[["top", "right"]].set_visible(False)
    axes.spines[["left", "bottom"]].set_color(FAINT)
    axes.tick_params(colors=INK, labelsize=8, color=FAINT)
    axes.grid(color=GRID, linewidth=0.6)
    axes.set_axisbelow(True)


def _save(figure: Figure, path: Path) -> None:
    """Write a figure as PNG and SVG; equal figures give equal bytes."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with io.BytesIO() as buffer:
        FigureCanvasAgg(figure).print_png(buffer, metadata={"Software": None})
        write_bytes(path.with_suffix(".png"), buffer.getvalue())
    with matplotlib.rc_context({"svg.hashsalt": "hscl-fast", "svg.fonttype": "none"}), io.BytesIO() as buffer:
        FigureCanvasSVG(figure).print_svg(buffer, metadata={"Date": None, "Creator": None})
        write_bytes(path.with_suffix(".svg"), buffer.getvalue())
