"""Draws a sheet of images beside their augmented views."""

from __future__ import annotations

import io
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import torch
from hscl_kernels import augment_views
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from hscl_fast.config.sections import AugmentConfig
from hscl_fast.data.types import ABNORMAL, NORMAL, UNLABELLED, TrainingImages
from hscl_fast.method.augment import VIEWS, draw_views

MOST_IMAGES = 64

_NAMES = {NORMAL: "normal", UNLABELLED: "unlabelled", ABNORMAL: "abnormal"}
_INK = "#1f2937"
_CELL = 0.9  # inches
_PIXELS_PER_INCH = 110


def draw_view_sheet(
    name: str, training: TrainingImages, augment: AugmentConfig, *, count: int, seed: int, step: int
) -> tuple[bytes, int]:
    """Draw some training images of every role beside the views of them that a training step uses.

    Parameters
    ----------
    name, training, augment
        What the data is called, its training images, and how their views are drawn.
    count
        Number of images, up to ``MOST_IMAGES``.
    seed, step
        Seed of the run and number of the step.

    Returns
    -------
    picture : bytes
        A PNG.
    shown : int
        Number of images in the picture: ``count``, or all if there are fewer.
    """
    chosen = choose_images(training, count)
    images = training.images[chosen]
    picture = draw_sheet(
        images,
        render_views(images, chosen, augment, seed=seed, step=step),
        title=f"{name}: the views of policy {augment.policy} at step {step}, seed {seed}",
        names=[f"{_NAMES[int(role)]}\n{index}" for index, role in zip(chosen, training.roles[chosen], strict=True)],
        columns=[f"view {view + 1}, {turn}" for view in range(VIEWS) for turn in _turns(augment.rotations)],
    )
    return picture, len(chosen)


def choose_images(training: TrainingImages, count: int) -> npt.NDArray[np.int64]:
    """Return indices of ``count`` training images (or all), with equal shares of the roles where there are enough."""
    members = [np.flatnonzero(training.roles == role) for role in (NORMAL, UNLABELLED, ABNORMAL)]
    by_turns = [some[place] for place in range(count) for some in members if place < len(some)]
    return np.array(sorted(by_turns[:count], key=lambda index: (-training.roles[index], index)), np.int64)


def render_views(
    images: npt.NDArray[np.uint8], indices: npt.NDArray[np.int64], augment: AugmentConfig, *, seed: int, step: int
) -> npt.NDArray[np.uint8]:
    """Return the views as pictures, uint8 ``[V * R, n, H, W, 3]``."""
    parameters = draw_views(
        augment,
        torch.from_numpy(indices),
        seed=torch.tensor(seed),
        step=torch.tensor(step),
        size=(images.shape[1], images.shape[2]),
    )
    views = augment_views(torch.from_numpy(images), parameters, mean=0.0, std=1.0)
    pixels = (views * 255).round().to(torch.uint8).permute(0, 2, 3, 1)
    return pixels.reshape(VIEWS * augment.rotations, *images.shape).numpy()


def _turns(rotations: int) -> list[str]:
    """Return what the headings call the copies of a view."""
    return ["0°", "turned"] if rotations == 2 else [f"{90 * turn}°" for turn in range(rotations)]


def draw_sheet(
    images: npt.NDArray[np.uint8],
    views: npt.NDArray[np.uint8],
    *,
    title: str,
    names: Sequence[str],
    columns: Sequence[str],
) -> bytes:
    """Return a PNG with one line per image: the image, then its views.

    Parameters
    ----------
    images
        uint8 ``[n, H, W, 3]``.
    views
        uint8 ``[columns, n, H, W, 3]``.
    title
        Text above the picture.
    names
        One per line.
    columns
        The heading of each column of views.
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
