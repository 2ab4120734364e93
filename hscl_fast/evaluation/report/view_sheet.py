"""A picture of images beside their augmented views, for people to look at."""

from __future__ import annotations

import io
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

_INK = "#1f2937"
_CELL = 0.9  # inches
_PIXELS_PER_INCH = 110


def picture_views(
    images: npt.NDArray[np.uint8],
    views: npt.NDArray[np.uint8],
    *,
    title: str,
    names: Sequence[str],
    columns: Sequence[str],
) -> bytes:
    """Return a PNG with one line an image: the image, then its views.

    Parameters
    ----------
    images
        uint8 ``[n, H, W, 3]``.
    views
        uint8 ``[columns, n, H, W, 3]``.
    title
        Above the picture.
    names
        One a line.
    columns
        What each view is, above it.
    """
    lines, across = len(images), len(columns) + 1
    figure = Figure(figsize=(_CELL * across + 1, _CELL * lines + 0.8), dpi=_PIXELS_PER_INCH, layout="constrained")
    figure.suptitle(title, fontsize=9, color=_INK)
    cells = figure.subplots(lines, across, squeeze=False)
    for line, row in enumerate(cells):
        for place, axes in enumerate(row):
            axes.imshow(views[place - 1, line] if place else images[line], interpolation="nearest")
            axes.set_xticks([])
            axes.set_yticks([])
            axes.spines[:].set_visible(False)
            if line == 0:
                axes.set_title(columns[place - 1] if place else "image", fontsize=8, color=_INK)
        row[0].set_ylabel(names[line], fontsize=7, color=_INK, rotation=0, ha="right", va="center")
    buffer = io.BytesIO()
    # Without the Software entry, which holds a version, equal views give equal bytes.
    FigureCanvasAgg(figure).print_png(buffer, metadata={"Software": None})
    return buffer.getvalue()
