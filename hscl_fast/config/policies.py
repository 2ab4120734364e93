"""The augmentation policies, and the numbers that make one."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Policy:
    """How views are drawn, in numbers: those of :class:`hscl_fast.config.sections.AugmentConfig`, none unset.

    Parameters
    ----------
    crop_first
        Crop before the colours, which then are jittered against the crop's mean, rather than last of all.
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


POLICIES: dict[str, Policy] = {
    # The layers of CSI, which the released code uses, in their order.
    "released": Policy(False, 0.5, 0.8, 0.2, 0.4, 0.4, 0.4, 0.1, (0.08, 1.0), (0.75, 4 / 3)),
    # SimCLR (Chen et al., ICML 2020) as for small images: colour strength 0.5, no blur.
    "simclr": Policy(True, 0.5, 0.8, 0.2, 0.4, 0.4, 0.4, 0.1, (0.08, 1.0), (0.75, 4 / 3)),
    "none": Policy(False, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, (1.0, 1.0), (1.0, 1.0)),
}
