"""How the parameters of views are distributed."""

from __future__ import annotations

from typing import NamedTuple


class ViewDistribution(NamedTuple):
    """The numbers from which :func:`hscl_kernels.draw_view_parameters` draws; the defaults are the released code's.

    Parameters
    ----------
    crop_first
        Whether to crop before the colours are changed, or last.
    flip_probability, jitter_probability, gray_probability
        Of each, between 0 and 1. A flip belongs to the image and the view: its rotated copies share it.
    brightness, contrast, saturation
        Half widths of the factors, which are uniform around 1.
    hue
        Half width of the shift, which is uniform around 0, in the unit of ``ViewParameters.hue``.
    crop_area
        Smallest and largest share of the image's area, between 0 and 1.
    crop_ratio
        Smallest and largest ratio of width to height, above 0; its logarithm is uniform.
    """

    crop_first: bool = False
    flip_probability: float = 0.5
    jitter_probability: float = 0.8
    gray_probability: float = 0.2
    brightness: float = 0.4
    contrast: float = 0.4
    saturation: float = 0.4
    hue: float = 0.1
    crop_area: tuple[float, float] = (0.08, 1.0)
    crop_ratio: tuple[float, float] = (0.75, 4 / 3)
