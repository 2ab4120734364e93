"""The heat maps of the pictures in a report."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from hscl_fast.data.types import Images
from hscl_fast.evaluation.heat_maps import HeatMaps, heat_map_method, heat_maps
from hscl_fast.method.scoring.image_scorer import ImageScorer


@dataclass(frozen=True)
class Heat:
    """How heat maps are made.

    Attributes
    ----------
    method
        In words.
    maps
        Returns the heat maps float32 ``[n, H, W]`` of images uint8 ``[n, H, W, 3]``, as the network sees them.
    """

    method: str
    maps: Callable[[Images], HeatMaps]


def heat_of(scoring: ImageScorer) -> Heat:
    """Return how the heat maps of a calibrated score are made."""
    return Heat(heat_map_method(scoring), lambda images: heat_maps(scoring, images))
