"""The heat maps of the pictures in a report."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from hscl_fast.data.types import Images
from hscl_fast.evaluation.heat_maps import HeatMaps, heat_map_method, heat_maps
from hscl_fast.method.scoring.image_scorer import ImageScorer
from hscl_fast.method.scoring.scoring import Scoring


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


_MOST_PASSES = 4  # 40, for each of the 100 covered copies of a picture, would take longer than a short training


def heat_of(scoring: ImageScorer) -> Heat | None:
    """Return how the heat maps of a calibrated score are made; None if a report would have to wait long for them."""
    looked_at = scoring.without_crops() if isinstance(scoring, Scoring) else scoring
    if looked_at.passes > _MOST_PASSES:
        return None
    return Heat(heat_map_method(scoring), lambda images: heat_maps(scoring, images))
