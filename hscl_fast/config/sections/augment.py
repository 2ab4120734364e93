"""``augment``: how training views are drawn."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal

from hscl_fast.config.policies import POLICIES, Policy
from hscl_fast.config.sections.requirements import require


@dataclass(frozen=True)
class AugmentConfig:
    """How training views are drawn.

    Parameters
    ----------
    policy
        ``released``: flip, rotation, jitter, grey, crop, in the order of the released code. ``simclr``: the crop comes
        before the colours. ``none``: rotations only. The fields below override the numbers of the policy.
    rotations
        R, rotated copies of every view: ``4`` (all quarter turns, as in the paper), ``2`` (upright, and one turn drawn
        for each image and step) or ``1`` (upright only). 2 and 1 make a half and a quarter of the rows.
    flip_probability, jitter_probability, gray_probability
        Chances of a horizontal flip (per image and view), of colour jitter and of grey (per row).
    brightness, contrast, saturation, hue
        Half-widths of the jitter factors around 1 (around 0 for hue, in turns).
    crop_area
        Smallest and largest area of the Inception crop, as a share of the image.
    crop_ratio
        Smallest and largest aspect ratio of the crop, width over height.
    cached_views
        With a frozen encoder, the views of every image that go through it, once, before the training: the upright one
        without augmentation, then others that the policy draws. Their features are kept in the run, and a step takes
        thousandths of a second. Unset: new views at every step.
    backend
        Form that renders the views: ``auto`` (``triton`` on a GPU, ``cpu`` on the CPU), ``cpu``, ``triton`` or
        ``reference`` (plain PyTorch).
    """

    policy: Literal["released", "simclr", "none"] = "released"
    rotations: Literal[1, 2, 4] = 4
    flip_probability: float | None = None
    jitter_probability: float | None = None
    gray_probability: float | None = None
    brightness: float | None = None
    contrast: float | None = None
    saturation: float | None = None
    hue: float | None = None
    crop_area: tuple[float, float] | None = None
    crop_ratio: tuple[float, float] | None = None
    cached_views: int | None = None
    backend: Literal["auto", "reference", "cpu", "triton"] = "auto"

    def __post_init__(self) -> None:
        # For the parser true is 1, and 2.0 is 2.
        counts = type(self.rotations) is int and self.rotations in (1, 2, 4)
        require(counts, "augment.rotations", self.rotations, "1, 2 or 4")
        numbers = self.numbers
        for name in ("flip_probability", "jitter_probability", "gray_probability"):
            value = getattr(numbers, name)
            require(0 <= value <= 1, f"augment.{name}", value, "a probability in [0, 1]")
        for name in ("brightness", "contrast", "saturation"):
            value = getattr(numbers, name)
            require(0 <= value <= 1, f"augment.{name}", value, "in [0, 1]")
        require(0 <= numbers.hue <= 0.5, "augment.hue", numbers.hue, "in [0, 0.5] turns")
        low, high = numbers.crop_area
        require(0 < low <= high <= 1, "augment.crop_area", numbers.crop_area, "two numbers, 0 < low <= high <= 1")
        low, high = numbers.crop_ratio
        require(0 < low <= high, "augment.crop_ratio", numbers.crop_ratio, "two numbers with 0 < low <= high")
        if self.cached_views is not None:
            require(1 <= self.cached_views <= 64, "augment.cached_views", self.cached_views, "between 1 and 64")

    @property
    def numbers(self) -> Policy:
        """The policy, with its numbers replaced by the fields that are set."""
        policy = POLICIES[self.policy]
        given = {name: getattr(self, name, None) for name in vars(policy)}
        return replace(policy, **{name: value for name, value in given.items() if value is not None})
