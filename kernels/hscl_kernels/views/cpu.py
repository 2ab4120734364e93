"""Views on the CPU: a few rows at a time, so that all of their steps run in the cache; shares of rows side by side.

The same arithmetic as the reference, but for three things: flip, turn and crop are one map of coordinates; only the
rows that ask for a step take it; and hue becomes colour by distances on the colour wheel instead of remainders.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from hscl_kernels.views.parameters import ViewParameters
from hscl_kernels.views.reference import HUE_UNIT, LUMA

_CHUNK_PIXELS = 1 << 17  # of one chunk's rows, for each of torch's threads
_TINY = 1e-30  # in place of the value of black, whose saturation is 0
# For 0 to 3 quarter turns: how x and y in the image (the rows) follow from x and y in the view (the columns).
_TURNS = (((1, 0), (0, 1)), ((0, -1), (1, 0)), ((-1, 0), (0, -1)), ((0, 1), (-1, 0)))


class _Rows(NamedTuple):
    """What each row needs, in the order in which rows are rendered."""

    row: Tensor  # int64, where it goes
    image: Tensor
    contrast: Tensor  # the factors as [rows, 1, 1, 1]
    turn: Tensor  # of the hue, 1 to 2 turns so that no angle is negative, [rows, 1, 1] like the factors below
    saturation: Tensor
    value: Tensor
    gray: Tensor
    by_x: Tensor  # [rows, 1, W]: where a view's columns lie in the image, as x + iy
    by_y: Tensor  # [rows, H, 1]: the same for its rows
    padding: str


class _Chunk(NamedTuple):
    """Rows ``first`` to ``last``; contrast comes first from ``jitter`` on, last from ``late`` on."""

    first: int
    jitter: int
    late: int
    last: int
    crop_first: bool


def augment_views(images: Tensor, parameters: ViewParameters, *, dtype: torch.dtype, mean: float, std: float) -> Tensor:
    """Return ``[rows, C, H, W]``, channels_last, as :func:`hscl_kernels.augment_views` describes it."""
    _, height, width, channels = images.shape
    views = torch.empty(len(parameters.image), channels, height, width, dtype=dtype, memory_format=torch.channels_last)
    at_once = _CHUNK_PIXELS * torch.get_num_threads() // (height * width)
    order, chunks = _plan(parameters, max(1, at_once))
    rows = _rows(parameters, order, height, width, torch.float64 if dtype == torch.float64 else torch.float32)
    offset = torch.tensor(-mean / std, dtype=rows.turn.dtype)
    for chunk in chunks:
        _render(images, rows, chunk, views, offset, std)
    return views


def _plan(parameters: ViewParameters, size: int) -> tuple[Tensor, list[_Chunk]]:
    """Return the order of the rows and chunks of at most ``size``, all of whose rows crop first, or none.

    Rows of one image are neighbours, so that it is converted once for them. Within a chunk come rows without jitter,
    then those with contrast before the other factors, then those with contrast after them.
    """
    order = parameters.image.argsort(stable=True)
    crop_first = parameters.crop_first[order].long()
    by_crop = crop_first.argsort(stable=True)
    order, crop_first = order[by_crop], crop_first[by_crop]
    late_crops = len(order) - int(crop_first.sum())
    place = torch.arange(len(order))
    chunk = torch.where(place < late_crops, place // size, -(-late_crops // size) + (place - late_crops) // size)
    kind = (parameters.jitter.long() * (2 - parameters.contrast_first.long()))[order]
    within = (chunk * 3 + kind).argsort(stable=True)
    counts = torch.bincount(chunk * 3 + kind, minlength=3 * (int(chunk[-1]) + 1))
    ends = counts.cumsum(0).tolist()
    bounds = zip([0, *ends[2::3]], ends[::3], ends[1::3], ends[2::3], strict=False)
    return order[within], [_Chunk(*some, crop_first=some[0] >= late_crops) for some in bounds]


def _rows(parameters: ViewParameters, order: Tensor, height: int, width: int, dtype: torch.dtype) -> _Rows:
    own = ViewParameters(*(field.index_select(0, order) for field in parameters))
    w, h, w_bias, h_bias = own.crop.to(dtype).T[:, :, None]
    along_x = w * _centres(width, dtype) + w_bias  # [rows, W]
    along_y = h * _centres(height, dtype) + h_bias  # [rows, H]
    turns = torch.tensor(_TURNS, dtype=dtype).index_select(0, own.rotation % 4)  # [rows, 2, 2]
    turns[:, 0] *= 1 - 2 * own.flip[:, None].to(dtype)
    # Crops that stay inside read at most half a pixel beyond the border, where its mirror image is the border itself.
    inside = bool((own.crop[:, :2].abs() + own.crop[:, 2:].abs()).max() <= 1 + 1 / (2 * max(height, width)))
    return _Rows(
        order,
        own.image,
        own.contrast[:, None, None, None].to(dtype),
        (own.hue[:, None, None].to(dtype) * HUE_UNIT) % 1 + 1,
        own.saturation[:, None, None].to(dtype),
        own.value[:, None, None].to(dtype),
        own.gray,
        torch.view_as_complex(along_x[:, None, :, None] * turns[:, None, None, :, 0]),
        torch.view_as_complex(along_y[:, :, None, None] * turns[:, None, None, :, 1]),
        "border" if inside else "reflection",
    )


def _render(images: Tensor, rows: _Rows, chunk: _Chunk, views: Tensor, offset: Tensor, std: float) -> None:
    """Write the views of one chunk."""
    own = slice(chunk.first, chunk.last)
    distinct, place = rows.image[own].unique(return_inverse=True)
    planes = images.index_select(0, distinct).permute(0, 3, 1, 2)
    x = planes.to(rows.turn.dtype, memory_format=torch.contiguous_format).div_(255).index_select(0, place)
    if chunk.crop_first:
        x = _sample(x, rows, own)
    _adjust_colours(x, rows, chunk)
    if not chunk.crop_first:
        x = _sample(x, rows, own)
    block = torch.empty(len(x), *images.shape[1:], dtype=views.dtype)
    for channel, plane in enumerate(x.unbind(1)):
        torch.add(offset, plane, alpha=1 / std, out=block[..., channel])
    views.permute(0, 2, 3, 1).index_copy_(0, rows.row[own], block)


def _sample(x: Tensor, rows: _Rows, own: slice) -> Tensor:
    """Flip, turn and crop."""
    grid = torch.view_as_real(rows.by_x[own] + rows.by_y[own])
    return F.grid_sample(x, grid, mode="bilinear", padding_mode=rows.padding, align_corners=False)


def _adjust_colours(x: Tensor, rows: _Rows, chunk: _Chunk) -> None:
    """Jitter and grey in place."""
    first, jitter, late, last, _ = chunk
    if jitter < late:
        _adjust_contrast(x[jitter - first : late - first], rows.contrast[jitter:late])
    if jitter < last:
        own = slice(jitter, last)
        _adjust_hsv(x[jitter - first :], rows.turn[own], rows.saturation[own], rows.value[own])
    if late < last:
        _adjust_contrast(x[late - first :], rows.contrast[late:last])
    gray = rows.gray[first:last].nonzero()[:, 0]
    if x.shape[1] == 3 and len(gray):
        red, green, blue = x.index_select(0, gray).unbind(1)
        luma = red.mul_(LUMA[0]).add_(green, alpha=LUMA[1]).add_(blue, alpha=LUMA[2])
        x.index_copy_(0, gray, luma[:, None].expand(-1, 3, -1, -1))


def _adjust_contrast(x: Tensor, factor: Tensor) -> None:
    mean = x.mean(dim=(2, 3), keepdim=True)
    x.mul_(factor).add_(mean * (1 - factor)).clamp_(0, 1)


def _adjust_hsv(x: Tensor, turn: Tensor, saturation: Tensor, value: Tensor) -> None:
    if x.shape[1] == 1:
        x[:, 0].mul_(value).clamp_(0, 1)  # grey has no hue and no saturation
        return
    red, green, blue = x.unbind(1)
    highest = torch.maximum(red, green)
    torch.maximum(highest, blue, out=highest)
    spread = torch.minimum(red, green)
    torch.sub(highest, torch.minimum(spread, blue, out=spread), out=spread)
    angle = torch.sub(green, blue).mul_(math.sqrt(3) / 2)
    spare = torch.add(green, blue)
    torch.atan2(angle, torch.add(red, spare, alpha=-0.5, out=spare), out=angle)
    sixths = torch.add(turn, angle, alpha=1 / (2 * math.pi), out=angle).frac_().mul_(6)  # the hue, 0 to 6
    spread.div_(torch.clamp(highest, min=_TINY, out=spare)).mul_(saturation).clamp_(0, 1)
    highest.mul_(value).clamp_(0, 1)
    chroma = spread.mul_(highest)

    def distance(centre: int) -> Tensor:
        return torch.sub(sixths, centre, out=spare).abs_().clamp_(1, 2)

    # Each channel rises and falls linearly with the distance from a hue: value - chroma * (distance - 1), and red
    # value - chroma + chroma * (distance - 1).
    top = highest.add_(chroma)
    torch.addcmul(top, chroma, distance(2), value=-1, out=green)
    torch.addcmul(top, chroma, distance(4), value=-1, out=blue)
    torch.addcmul(top.sub_(chroma, alpha=3), chroma, distance(3), out=red)


def _centres(size: int, dtype: torch.dtype) -> Tensor:
    """Return the pixels' centres, from -1 to 1."""
    return (2 * torch.arange(size, dtype=dtype) + 1) / size - 1
