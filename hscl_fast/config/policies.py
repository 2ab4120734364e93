"""The view policies and the numbers that define them."""

from __future__ import annotations

from dataclasses import dataclass, replace


@dataclass(frozen=True)
class Policy:
    """The numbers that define how views are drawn; see :class:`hscl_fast.config.sections.AugmentConfig`.

    Parameters
    ----------
    crop_first
        Whether to crop before the colours are changed, so that contrast refers to the mean of the crop, or last.
    """

    crop_first: bool
    flip_probability: float
    jitter_probability: float
    gray_probability: float
    brightness: float
    contrast: float
    saturation: float
    hue: float
    crop_area: tuple[float, float]
    crop_ratio: tuple[float, float]


# The layers of CSI in their order, as in the released code.
_RELEASED = Policy(
    crop_first=False,
    flip_probability=0.5,
    jitter_probability=0.8,
    gray_probability=0.2,
    brightness=0.4,
    contrast=0.4,
    saturation=0.4,
    hue=0.1,
    crop_area=(0.08, 1.0),
    crop_ratio=(0.75, 4 / 3),
)
_NONE = Policy(
    crop_first=False,
    flip_probability=0.0,
    jitter_probability=0.0,
    gray_probability=0.0,
    brightness=0.0,
    contrast=0.0,
    saturation=0.0,
    hue=0.0,
    crop_area=(1.0, 1.0),
    crop_ratio=(1.0, 1.0),
)
POLICIES: dict[str, Policy] = {
    "released": _RELEASED,
    # SimCLR (Chen et al., ICML 2020) with its settings for small images: colour strength 0.5, no blur.
    "simclr": replace(_RELEASED, crop_first=True),
    "none": _NONE,
}
