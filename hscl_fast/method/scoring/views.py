"""The views of an image that scores are computed from: whole in up to four turns, its corners, or random crops."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from enum import Enum
from typing import NamedTuple

import torch
from hscl_kernels import ViewParameters
from torch import Tensor
from torch.nn import functional

from hscl_fast.config.sections import AugmentConfig
from hscl_fast.method.augment import ROTATIONS, draw_views
from hscl_fast.method.network import Features

CORNERS = 4
CORNER_AREA = 0.7  # of a crop in a corner, as a share of the image
CROPS = 10
CROP_AREA = 0.54
_PLACES = ((-1, -1), (1, -1), (-1, 1), (1, 1))  # of the corners: to the right of the centre, and below it
_CROP_SEED = 0  # every image gets the same ten crops, so that its score depends on nothing but itself


class Views(Enum):
    """The views that one score needs."""

    UPRIGHT = "the image"
    TURNS = "the image in four turns"
    CORNERS = "four crops, one in each corner"
    CROPS = "ten random crops, in four turns each"


class Outputs(NamedTuple):
    """What the network says of the views of B images, in float32.

    Attributes
    ----------
    turns
        Of the un-augmented views, ``[turns, B, ...]``, the upright view first; no turns if no score needs one.
    corners
        Of the crops in the corners, ``[4, B, ...]``, or None.
    crops
        Of the random crops, ``[10, 4, B, ...]``, or None.
    pixels
        The images themselves, shrunk: float32 ``[B, 3 s s]`` in [0, 1]; None if no score needs them.
    """

    turns: Features
    corners: Features | None
    crops: Features | None
    pixels: Tensor | None = None


@dataclass(frozen=True)
class ViewSet:
    """The smallest set of views that serves several scores.

    Parameters
    ----------
    turns
        Un-augmented views per image: 0, the upright one, or that in all four turns.
    corners
        Whether there are the crops in the corners as well.
    crops
        Whether there are random crops as well.
    """

    turns: int
    corners: bool = False
    crops: bool = False

    @classmethod
    def of(cls, needed: set[Views]) -> ViewSet:
        """Return the set that has all the views needed."""
        turns = ROTATIONS if Views.TURNS in needed else 1 if Views.UPRIGHT in needed else 0
        return cls(turns, Views.CORNERS in needed, Views.CROPS in needed)

    @property
    def rows(self) -> int:
        """Views per image."""
        return self.turns + CORNERS * self.corners + CROPS * ROTATIONS * self.crops

    @property
    def shrink_batch(self) -> int:
        """The factor by which a batch has fewer images: the views of a batch must fit into memory."""
        return CROPS if self.crops else max(1, self.turns, CORNERS * self.corners)

    def parameters(self, images: Tensor, augment: AugmentConfig) -> ViewParameters:
        """Return the parameters of the views of images uint8 ``[B, H, W, 3]``, view by view."""
        parts = []
        if self.turns:
            places = torch.arange(len(images), device=images.device).repeat(self.turns)
            turns = torch.arange(self.turns, device=images.device).repeat_interleave(len(images))
            parts.append(ViewParameters.identity(places, turns))
        if self.corners:
            parts.append(_corners(images))
        if self.crops:
            parts += _draw_crops(images, augment)
        return ViewParameters(*(torch.cat(fields) for fields in zip(*parts, strict=True)))

    def split(self, found: Features, images: int, pixels: Tensor | None = None) -> Outputs:
        """Return the features of all views, ``[rows * B, ...]``, by view and image, beside the images' pixels."""
        first, second = self.turns * images, (self.turns + CORNERS * self.corners) * images
        turns = found.map(lambda x: x[:first].view(self.turns, images, x.shape[1]))
        corners = found.map(lambda x: x[first:second].view(CORNERS, images, x.shape[1])) if self.corners else None
        crops = found.map(lambda x: x[second:].view(CROPS, ROTATIONS, images, x.shape[1])) if self.crops else None
        return Outputs(turns, corners, crops, pixels)

    def placed(self, maps: Tensor) -> Tensor:
        """Return maps of all views but random crops, ``[rows, B, S, S]``, where they lie in the image, added up."""
        total = maps.new_zeros(maps.shape[1:])
        for turn, of_view in enumerate(maps[: self.turns]):
            total += torch.rot90(of_view, -turn, (1, 2))
        if not self.corners:
            return total
        side = maps.shape[-1]
        size = round(side * math.sqrt(CORNER_AREA))
        shrunk = functional.interpolate(maps[self.turns :], size=(size, size), mode="bilinear", align_corners=False)
        for (right, low), of_view in zip(_PLACES, shrunk, strict=True):
            top, left = (side - size) * (low > 0), (side - size) * (right > 0)
            total[:, top : top + size, left : left + size] += of_view
        return total


def _corners(images: Tensor) -> ViewParameters:
    """Return the parameters of the crops in the corners, corner by corner."""
    upright = ViewParameters.identity(torch.arange(len(images), device=images.device).repeat(CORNERS))
    side = math.sqrt(CORNER_AREA)
    crops = [[side, side, (1 - side) * right, (1 - side) * low] for right, low in _PLACES]
    return upright._replace(crop=torch.tensor(crops, device=images.device).repeat_interleave(len(images), dim=0))


def _draw_crops(images: Tensor, augment: AugmentConfig) -> list[ViewParameters]:
    policy = replace(augment, crop_area=(CROP_AREA, CROP_AREA), rotations=ROTATIONS)
    indices = torch.zeros(len(images), dtype=torch.int64, device=images.device)
    seed = torch.tensor(_CROP_SEED, device=images.device)
    size = (images.shape[1], images.shape[2])
    steps = torch.arange(CROPS, device=images.device)
    return [draw_views(policy, indices, seed=seed, step=step, size=size, views=1) for step in steps]
