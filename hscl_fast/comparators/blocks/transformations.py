"""Fixed sets of geometric transformations, by which classifiers of the transformation learn what is normal."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor

_SHIFT = 1 / 4  # of the side: 8 of 32 pixels
Map = Callable[[Tensor], Tensor]  # from places [S, S, 2] in the view to those in the image, (x, y) in [-1, 1]


class Transformations:
    """M transformations of square images, each a map of coordinates; what lies beyond the border is mirrored.

    Parameters
    ----------
    maps
        The maps of coordinates.
    side
        S, of the images, in pixels.
    device
        Of the images.

    Attributes
    ----------
    grids
        float32 ``[M, S, S, 2]``: where in the image, as (x, y) in [-1, 1], each pixel of the view lies.
    """

    def __init__(self, maps: list[Map], side: int, device: torch.device) -> None:
        centres = (2 * torch.arange(side, dtype=torch.float64) + 1) / side - 1
        x, y = torch.meshgrid(centres, centres, indexing="xy")
        places = torch.stack((x, y), dim=2)
        self.grids = torch.stack([transform(places) for transform in maps]).float().to(device)

    def __len__(self) -> int:
        return len(self.grids)

    def views(
        self, images: Tensor, place: Tensor, which: Tensor, *, mean: tuple[float, ...], std: tuple[float, ...]
    ) -> Tensor:
        """Return views of images.

        Parameters
        ----------
        images
            uint8 ``[B, S, S, 3]``.
        place, which
            int64 ``[rows]``: the image that each row shows, and its transformation.
        mean, std
            A view is (x - mean) / std with x in [0, 1], by channel.

        Returns
        -------
        Tensor
            float32 ``[rows, 3, S, S]``.
        """
        centre, spread = (torch.tensor(values, device=images.device)[:, None, None] for values in (mean, std))
        planes = (images.permute(0, 3, 1, 2).float() / 255 - centre) / spread
        return F.grid_sample(
            planes.index_select(0, place),
            self.grids.index_select(0, which),
            padding_mode="reflection",
            align_corners=False,
        )


def flips_and_turns() -> list[Map]:
    """Return 8: both flips of all quarter turns; the first is the identity."""
    return [_linear(90 * turn, flip=flip) for turn, flip in itertools.product(range(4), (False, True))]


def flips_turns_and_shifts() -> list[Map]:
    """Return the 72 of Golan and El-Yaniv (NeurIPS 2018): the 8, each shifted by a quarter of the side or not."""
    steps = (0.0, -2 * _SHIFT, 2 * _SHIFT)
    return [
        _then(_shift(right, down), part)
        for right, down in itertools.product(steps, steps)
        for part in flips_and_turns()
    ]


def e3_transformations() -> list[Map]:
    """Return the 111 of E3Outlier (Wang et al., NeurIPS 2019).

    The 72, then 16 turns by the other multiples of 30 degrees with both flips, then the 23 ways of exchanging the
    image's four quarters.
    """
    oblique = [angle for angle in range(0, 360, 30) if angle % 90]
    turned = [_linear(angle, flip=flip) for angle, flip in itertools.product(oblique, (False, True))]
    orders = [order for order in itertools.permutations(range(4)) if order != (0, 1, 2, 3)]
    return [*flips_turns_and_shifts(), *turned, *[_quarters(order) for order in orders]]


def _linear(degrees: int, *, flip: bool) -> Map:
    cos, sin = math.cos(math.radians(degrees)), math.sin(math.radians(degrees))
    matrix = torch.tensor([[cos, sin], [-sin, cos]], dtype=torch.float64)
    if degrees % 90 == 0:
        matrix = matrix.round()  # so that quarter turns read the centres of pixels
    if flip:
        matrix = matrix @ torch.tensor([[-1.0, 0.0], [0.0, 1.0]], dtype=torch.float64)
    return lambda places: places @ matrix


def _shift(right: float, down: float) -> Map:
    def transform(places: Tensor) -> Tensor:
        pixel = 2 / places.shape[0]
        offset = torch.tensor([right, down], dtype=torch.float64)
        return places - (offset / pixel).round() * pixel  # by whole pixels

    return transform


def _then(first: Map, second: Map) -> Map:
    return lambda places: second(first(places))


def _quarters(order: tuple[int, ...]) -> Map:
    """Show, in each quarter of the view (row by row), the quarter ``order`` of the image."""

    def transform(places: Tensor) -> Tensor:
        own = 2 * (places[..., 1] > 0).long() + (places[..., 0] > 0).long()
        shown = torch.tensor(order)[own]
        return places + torch.stack((shown % 2 - own % 2, shown // 2 - own // 2), dim=2)

    return transform
