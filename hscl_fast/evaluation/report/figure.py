"""How the plots of a page look: transparent, in colours that are read on white and, inverted, on black."""

from __future__ import annotations

import base64
import io
import warnings

from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

NORMAL_COLOUR, ABNORMAL_COLOUR, INK, FAINT = "#2563eb", "#dc2626", "#1f2937", "#9ca3af"
PIXELS_PER_INCH = 160


def new_figure(width: float, height: float) -> Figure:
    """Return a figure of a size in inches."""
    return Figure(figsize=(width, height), dpi=PIXELS_PER_INCH, layout="constrained", facecolor="none")


def figure_uri(figure: Figure) -> str:
    """Return a figure as a PNG ``data:`` URI."""
    buffer = io.BytesIO()
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Glyph")  # of a run's name, that the font does not have
        # Without the Software entry, which holds a link and a version, equal data give equal bytes.
        FigureCanvasAgg(figure).print_png(buffer, metadata={"Software": None})
    return "data:image/png;base64," + base64.b64encode(buffer.getvalue()).decode("ascii")


def style(axes: Axes, x_label: str, y_label: str) -> None:
    """Give axes their labels, ticks and grid."""
    axes.set_facecolor("none")
    axes.spines[["top", "right"]].set_visible(False)
    axes.spines[["left", "bottom"]].set_color(FAINT)
    axes.tick_params(colors=INK, labelsize=8, color=FAINT)
    axes.set_xlabel(x_label, fontsize=9, color=INK)
    axes.set_ylabel(y_label, fontsize=9, color=INK)
    axes.grid(color="#9ca3af", alpha=0.35, linewidth=0.6)
    axes.set_axisbelow(True)
