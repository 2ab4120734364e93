"""The views of an image that scores are computed from: upright, in four turns, or in ten crops of four turns each."""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import Enum
from typing import NamedTuple

import torch
from hscl_kernels import ViewParameters
from torch import Tensor

from hscl_fast.config.sections import AugmentConfig
from hscl_fast.method.augment import ROTATIONS, draw_views
from hscl_fast.method.network import Features

CROPS = 10
CROP_AREA = 0.54
_CROP_SEED = 0  # every image gets the same ten crops, so that its score depends on nothing but itself


class Views(Enum):
    """The views that one score needs; the value is their number, the passes through the network per image."""

    UPRIGHT = 1
    TURNS = ROTATIONS
    CROPS = CROPS * ROTATIONS


class Outputs(NamedTuple):
    """What the network says of the views of B images, in float32.

    Attributes
    ----------
    turns
        Of the un-augmented views, ``[turns, B, ...]``, the upright view first; no turns if no score needs one.
    crops
        Of the crops, ``[10, 4, B, ...]``, or None.
    pixels
        The images themselves, shrunk: float32 ``[B, 3 s s]`` in [0, 1]; None if no score needs them.
    """

    turns: Features
    crops: Features | None
    pixels: Tensor | None = None


@dataclass(frozen=True)
class ViewSet:
    """The smallest set of views that serves several scores.

    Parameters
    ----------
    turns
        Un-augmented views per image: 0, the upright one, or that in all four turns.
    crops
        Whether there are crops as well.
    """

    turns: int
    crops: bool

    @classmethod
    def of(cls, needed: set[Views]) -> ViewSet:
        """Return the set that has all the views needed."""
        turns = ROTATIONS if Views.TURNS in needed else 1 if Views.UPRIGHT in needed else 0
        return cls(turns, Views.CROPS in needed)

    @property
    def rows(self) -> int:
        """Views per image."""
        return self.turns + CROPS * ROTATIONS * self.crops

    @property
    def shrink_batch(self) -> int:
        """The factor by which a batch has fewer images: the views of a batch must fit into memory."""
        return CROPS if self.crops else max(1, self.turns)

    def parameters(self, images: Tensor, augment: AugmentConfig) -> ViewParameters:
        """Return the parameters of the views of images uint8 ``[B, H, W, 3]``, view by view."""
        parts = []
        if self.turns:
            places = torch.arange(len(images), device=images.device).repeat(self.turns)
            turns = torch.arange(self.turns, device=images.device).repeat_interleave(len(images))
            parts.append(ViewParameters.identity(places, turns))
        if self.crops:
            parts += _draw_crops(images, augment)
        return ViewParameters(*(torch.cat(fields) for fields in zip(*parts, strict=True)))

    def split(self, found: Features, images: int, pixels: Tensor | None = None) -> Outputs:
        """Return the features of all views, ``[rows * B, ...]``, by view and image, beside the images' pixels."""
        first = self.turns * images
        turns = found.map(lambda x: x[:first].view(self.turns, images, x.shape[1]))
        crops = found.map(lambda x: x[first:].view(CROPS, ROTATIONS, images, x.shape[1])) if self.crops else None
        return Outputs(turns, crops, pixels)


def _draw_crops(images: Tensor, augment: AugmentConfig) -> list[ViewParameters]:
    policy = replace(augment, crop_area=(CROP_AREA, CROP_AREA), rotations=ROTATIONS)
    indices = torch.zeros(len(images), dtype=torch.int64, device=images.device)
    seed = torch.tensor(_CROP_SEED, device=images.device)
    size = (images.shape[1], images.shape[2])
    steps = torch.arange(CROPS, device=images.device)
    return [draw_views(policy, indices, seed=seed, step=step, size=size, views=1) for step in steps]
