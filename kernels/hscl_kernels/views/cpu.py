"""Views on the CPU, rendered a few rows at a time, so that all operations on them run in the cache.

The arithmetic is that of the reference, with three exceptions: flip, turn and crop are one map of coordinates; an
operation runs only on the rows that need it; and hue becomes colour by distances on the colour wheel instead of
remainders.

A row's bits depend on its own image and parameters alone: not on the number of threads, nor on the other rows. For two
of torch's operators this needs care, ``atan2`` and the mean of a single plane; all others that are used here round an
element alike wherever it lies.
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
_GRAIN = 1 << 15  # torch gives each thread at least so many elements of an operator (at::internal::GRAIN_SIZE)
_VECTOR = 64  # elements; torch takes two registers at a time, of at most 16 float32 each
_TINY = 1e-30  # in place of the value of black, whose saturation is 0
# For 0 to 3 quarter turns: how x and y in the image (the rows) follow from x and y in the view (the columns).
_TURNS = (((1, 0), (0, 1)), ((0, -1), (1, 0)), ((-1, 0), (0, -1)), ((0, 1), (-1, 0)))


class _Rows(NamedTuple):
    """The fields of ``ViewParameters`` as the steps use them, in the order in which rows are rendered."""

    row: Tensor  # int64, its place among the views
    image: Tensor
    contrast: Tensor  # the factors as [rows, 1, 1, 1]
    turn: Tensor  # of the hue, 1 to 2 turns so that no angle is negative, [rows, 1, 1] like the factors below
    saturation: Tensor
    value: Tensor
    gray: Tensor
    by_x: Tensor  # [rows, 1, W]: where a view's columns lie in the image, as x + iy
    by_y: Tensor  # [rows, H, 1]: the same for its rows


class _Chunk(NamedTuple):
    """Rows ``first`` to ``last``; contrast comes first from ``jitter`` on, last from ``late`` on."""

    first: int
    jitter: int
    late: int
    last: int
    crop_first: int  # 0 or 1
    beyond: int  # 1 where crops reach beyond the border


def augment_views(
    images: Tensor, parameters: ViewParameters, *, dtype: torch.dtype, mean: list[float], std: list[float]
) -> Tensor:
    """Return ``[rows, C, H, W]``, channels_last, as :func:`hscl_kernels.augment_views` describes it."""
    _, height, width, channels = images.shape
    views = torch.empty(len(parameters.image), channels, height, width, dtype=dtype, memory_format=torch.channels_last)
    at_once = _CHUNK_PIXELS * torch.get_num_threads() // (height * width)
    order, chunks = _plan(parameters, max(1, at_once), max(height, width))
    rows = _rows(parameters, order, height, width, torch.float64 if dtype == torch.float64 else torch.float32)
    offsets = [torch.tensor(-m / s, dtype=rows.turn.dtype) for m, s in zip(mean, std, strict=True)]
    for chunk in chunks:
        _render(images, rows, chunk, views, offsets, std)
    return views


def _plan(parameters: ViewParameters, size: int, side: int) -> tuple[Tensor, list[_Chunk]]:
    """Return the order of the rows and chunks of at most ``size``, whose rows all crop and sample in the same way.

    Rows of one image are neighbours, so that it is converted once for them. Within a chunk come rows without jitter,
    then those with contrast before the other factors, then those with contrast after them.
    """
    # Crops that stay inside read at most half a pixel beyond the border, where its mirror image is the border itself.
    beyond = (parameters.crop[:, :2].abs() + parameters.crop[:, 2:].abs()).amax(dim=1) > 1 + 1 / (2 * side)
    way = 2 * parameters.crop_first.long() + beyond.long()
    order = parameters.image.argsort(stable=True)
    order = order[way[order].argsort(stable=True)]
    way = way[order]
    lengths = torch.bincount(way, minlength=4)
    chunks = -(-lengths // size)
    place = torch.arange(len(order)) - (lengths.cumsum(0) - lengths)[way]  # among the rows of its way
    chunk = (chunks.cumsum(0) - chunks)[way] + place // size
    kind = (parameters.jitter.long() * (2 - parameters.contrast_first.long()))[order]
    within = (chunk * 3 + kind).argsort(stable=True)
    counts = torch.bincount(chunk * 3 + kind, minlength=3 * (int(chunk[-1]) + 1))
    ends = counts.cumsum(0).tolist()
    bounds = list(zip([0, *ends[2::3]], ends[::3], ends[1::3], ends[2::3], strict=False))
    ways = way[[first for first, *_ in bounds]].tolist()
    return order[within], [_Chunk(*some, *divmod(way, 2)) for some, way in zip(bounds, ways, strict=True)]


def _rows(parameters: ViewParameters, order: Tensor, height: int, width: int, dtype: torch.dtype) -> _Rows:
    own = ViewParameters(*(field.index_select(0, order) for field in parameters))
    w, h, w_bias, h_bias = own.crop.to(dtype).T[:, :, None]
    along_x = w * _centres(width, dtype) + w_bias  # [rows, W]
    along_y = h * _centres(height, dtype) + h_bias  # [rows, H]
    turns = torch.tensor(_TURNS, dtype=dtype).index_select(0, own.rotation % 4)  # [rows, 2, 2]
    turns[:, 0] *= 1 - 2 * own.flip[:, None].to(dtype)
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
    )


def _render(images: Tensor, rows: _Rows, chunk: _Chunk, views: Tensor, offsets: list[Tensor], std: list[float]) -> None:
    """Write the views of one chunk."""
    own = slice(chunk.first, chunk.last)
    distinct, place = rows.image[own].unique(return_inverse=True)
    planes = images.index_select(0, distinct).permute(0, 3, 1, 2)
    x = planes.to(rows.turn.dtype, memory_format=torch.contiguous_format).div_(255).index_select(0, place)
    if chunk.crop_first:
        x = _sample(x, rows, chunk)
    _adjust_colours(x, rows, chunk)
    if not chunk.crop_first:
        x = _sample(x, rows, chunk)
    block = torch.empty(len(x), *images.shape[1:], dtype=views.dtype)
    for channel, plane in enumerate(x.unbind(1)):
        torch.add(offsets[channel], plane, alpha=1 / std[channel], out=block[..., channel])
    views.permute(0, 2, 3, 1).index_copy_(0, rows.row[own], block)


def _sample(x: Tensor, rows: _Rows, chunk: _Chunk) -> Tensor:
    """Flip, turn and crop."""
    own = slice(chunk.first, chunk.last)
    grid = torch.view_as_real(rows.by_x[own] + rows.by_y[own])
    padding = "reflection" if chunk.beyond else "border"
    return F.grid_sample(x, grid, mode="bilinear", padding_mode=padding, align_corners=False)


def _adjust_colours(x: Tensor, rows: _Rows, chunk: _Chunk) -> None:
    """Jitter and grey in place."""
    first, jitter, late, last = chunk[:4]
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
    # torch splits the sum of a single plane over its threads, but gives each of several planes to one thread.
    planes = x.expand(2, -1, -1, -1) if x.shape[:2] == (1, 1) else x
    mean = planes.mean(dim=(2, 3), keepdim=True)[: len(x)]
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
    angles, spares = (x.new_empty(_whole_vectors(red.numel())) for _ in range(2))
    angle, spare = (flat[: red.numel()].view(red.shape) for flat in (angles, spares))
    torch.sub(green, blue, out=angle).mul_(math.sqrt(3) / 2)
    torch.add(red, torch.add(green, blue, out=spare), alpha=-0.5, out=spare)
    torch.atan2(angles, spares, out=angles)
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


def _whole_vectors(count: int) -> int:
    """Return ``count`` rounded up so that each thread's share of an operator on so many elements is whole vectors.

    torch computes the elements beyond whole vectors by scalar code, whose atan2 rounds differently.
    """
    threads = min(torch.get_num_threads(), -(-count // _GRAIN))
    return -(-count // (_VECTOR * threads)) * _VECTOR * threads


def _centres(size: int, dtype: torch.dtype) -> Tensor:
    """Return the pixels' centres, from -1 to 1."""
    return (2 * torch.arange(size, dtype=dtype) + 1) / size - 1
