"""The sweep over exp(s / tau) on the CPU: tiles that stay in cache, each computed once for both of its sides.

Rows are put in the order of their instance ids and cut between two ids where possible, so that positives, and the
diagonal, lie in the tiles along the diagonal; all others need no mask. exp(x) is 2**(x log2 e) with the factor inside
the units, since torch's exp2 is faster than its exp; benchmarks/test_objective.py measures the whole.
"""

from __future__ import annotations

import math
import threading
from itertools import pairwise
from typing import Any, NamedTuple

import torch
from torch import Tensor

from hscl_kernels.cpu_threads import run_shares, share_count

TILE = 512  # rows; a float32 tile is 1 MB, a core's second-level cache on current servers
_SMALLEST_TILE = 256
_LN2 = math.log(2)


class Rows(NamedTuple):
    """One side of the matrix; all fields share their first dimension n.

    ``units [n, D]`` are unit rows times sqrt(log2(e) / tau), ``ids`` the instance ids, ``numbers`` the rows' places
    among all N rows, ``roles`` in {+1, 0, -1, 2}, ``positives`` c. The backward sweep also reads ``coefficients
    [n, 4]`` (alpha, beta, p, r of :class:`~hscl_kernels.contrast.row_terms.RowTerms`) and ``gradients``, dL/d(loss of
    the row) of the sample-to-sample term.
    """

    units: Tensor
    ids: Tensor
    numbers: Tensor
    roles: Tensor
    positives: Tensor
    coefficients: Tensor
    gradients: Tensor


def row_log_sums(rows: Rows, columns: Rows, *, online: bool) -> Tensor:
    """Return the log sums of every row of ``rows`` over all ``columns`` but itself.

    Parameters
    ----------
    rows, columns
        The two sides; the same object for the whole symmetric matrix, of which the upper triangle is computed.
    online
        Keep log sums rather than sums, for temperatures at which exp(s / tau) could overflow.

    Returns
    -------
    Tensor
        ``[4, n]``, see :func:`~hscl_kernels.contrast.row_terms.row_terms`.
    """
    left, right = both_sides(rows, columns)
    shares = deal_tiles(left, right)
    sums = left.units.new_full((len(shares), 4, len(left.order)), float("-inf") if online else 0.0)
    add_tile = _add_log_sums if online else _add_sums

    def add_share(number: int) -> None:
        totals = [part.unbind() for part in sums[number].split(left.sizes, dim=1)]
        buffer, same_buffer = (TileBuffer(name, left, right) for name in ("x", "same"))
        for i, j, mirrored in shares[number]:
            row, column = left.blocks[i], right.blocks[j]
            x = torch.mm(row.units, column.units.T, out=buffer(row, column))
            same = _same_ids(row, column, same_buffer)
            if same is not None:
                _clear_itself(x, row, column, float("-inf"))
            add_tile(x, same, row, column, totals[i], totals[j] if mirrored else None)

    run_shares(add_share, len(shares))
    log_sums = sums.logsumexp(0) if online else sums.sum(0).log_()
    return log_sums[:, left.order.argsort()]


def unit_gradients(rows: Rows, columns: Rows, abnormal_gradient: Tensor, *, online: bool) -> Tensor:
    """Return the gradient of both contrastive terms, summed over all rows, by the scaled units of ``rows``.

    Parameters
    ----------
    rows, columns
        As in :func:`row_log_sums`, with coefficients (logarithmic if ``online``) and gradients.
    abnormal_gradient
        Scalar, dL/d(normal-to-abnormal term).
    online
        As in :func:`row_log_sums`.

    Returns
    -------
    Tensor
        ``[n, D]``: sum_j G_ij units_j. Times :func:`~hscl_kernels.contrast.temperature.gradient_scale` it is dL/du.
    """
    left, right = both_sides(rows, columns)
    shares = deal_tiles(left, right)
    coefficients = _online_coefficients if online else _coefficients
    tile_gradient = _online_tile_gradient if online else _tile_gradient
    row_sides: list[Any] = [coefficients(block, abnormal_gradient) for block in left.blocks]
    column_sides: list[Any] = (
        row_sides if left is right else [coefficients(block, abnormal_gradient) for block in right.blocks]
    )
    gradients = left.units.new_zeros((len(shares), *left.units.shape))

    def add_share(number: int) -> None:
        parts = gradients[number].split(left.sizes)
        x_buffer, factor_buffer, same_buffer = (TileBuffer(name, left, right) for name in ("x", "factor", "same"))
        for i, j, mirrored in shares[number]:
            row, column = left.blocks[i], right.blocks[j]
            x = torch.mm(row.units, column.units.T, out=x_buffer(row, column))
            same = _same_ids(row, column, same_buffer)
            g = tile_gradient(x, same, row_sides[i], column_sides[j], factor_buffer(row, column))
            if same is not None:
                _clear_itself(g, row, column, 0.0)
            parts[i].addmm_(g, column.units)
            if mirrored:
                parts[j].addmm_(g.T, row.units)

    run_shares(add_share, len(shares))
    for other in gradients[1:]:
        gradients[0] += other
    return gradients[0].index_select(0, left.order.argsort())


class _Block(NamedTuple):
    """Consecutive rows of a side, with the facts that decide how much work a tile needs."""

    units: Tensor
    ids: Tensor
    numbers: Tensor
    positives: Tensor
    negatives: Tensor  # 1 for abnormal rows, else 0
    coefficients: Tensor
    gradients: Tensor
    first_id: float
    last_id: float
    contrasts: bool  # whether any row is part of the normal-to-abnormal term


class _Side:
    """The rows in the order of their ids, cut into blocks. ``ranks [n]``: float32 numbers in the ids' place."""

    def __init__(self, rows: Rows, ranks: Tensor) -> None:
        self.order = ranks.argsort(stable=True)
        ranks = ranks[self.order]
        bounds = _bounds(ranks)
        self.sizes = [stop - start for start, stop in pairwise(bounds)]
        self.units = rows.units.index_select(0, self.order)
        fields = (
            self.units,
            ranks,
            rows.numbers[self.order],
            rows.positives[self.order],
            (rows.roles == -1)[self.order].to(rows.units.dtype),
            rows.coefficients[self.order],
            rows.gradients[self.order],
        )
        first, last = ranks[bounds[:-1]].tolist(), ranks[[bound - 1 for bound in bounds[1:]]].tolist()
        parts = [bool(part.any()) for part in (rows.roles != 2)[self.order].split(self.sizes)]
        split = zip(*(field.split(self.sizes) for field in fields), first, last, parts, strict=True)
        self.blocks = [_Block(*block) for block in split]


def both_sides(rows: Rows, columns: Rows) -> tuple[_Side, _Side]:
    """Return rows and columns sorted by id and cut into blocks; one and the same object if they are."""
    # Small float32 numbers in place of 64-bit ids, which compare several times as fast; exact up to 2**24 ids.
    distinct, ranks = torch.unique(columns.ids, return_inverse=True)
    right = _Side(columns, ranks.float())
    if rows is columns:
        return right, right
    return _Side(rows, torch.searchsorted(distinct, rows.ids).float()), right


def _bounds(ids: Tensor) -> list[int]:
    """Cut sorted ids into blocks of about TILE rows or fewer; each bound moves to where its id begins, if it can."""
    # Enough tiles that every thread gets several.
    tile = max(_SMALLEST_TILE, min(TILE, int(len(ids) / math.sqrt(8 * share_count()))))
    count = -(-len(ids) // tile)
    even = [len(ids) * k // count for k in range(1, count)]
    starts = torch.searchsorted(ids, ids[even]).tolist() if even else []
    bounds = [0]
    for bound, start in zip(even, starts, strict=True):
        bounds.append(start if start > bounds[-1] else bound)
    return [*bounds, len(ids)]


class TileBuffer:
    """Memory for one tile, reused by every tile and every later sweep of its thread.

    Fresh memory costs a page fault for every 4 KB, which shows when N is small.
    """

    _kept = threading.local()

    def __init__(self, name: str, left: _Side, right: _Side) -> None:
        size = max(left.sizes) * max(right.sizes)
        key = f"{name} {left.units.dtype}"
        kept = getattr(self._kept, key, None)
        if kept is None or len(kept) < size:
            kept = left.units.new_empty(size)
            setattr(self._kept, key, kept)
        self.memory: Tensor = kept

    def __call__(self, row: _Block, column: _Block) -> Tensor:
        height, width = len(row.ids), len(column.ids)
        return self.memory[: height * width].view(height, width)


def deal_tiles(left: _Side, right: _Side) -> list[list[tuple[int, int, bool]]]:
    """Deal tiles (row block, column block, whether it also stands for its mirror image) into shares of equal work."""
    symmetric = left is right
    blocks = range(len(right.blocks))
    tiles = [
        (i, j, symmetric and i != j) for i in range(len(left.blocks)) for j in (blocks[i:] if symmetric else blocks)
    ]
    count = min(share_count(), len(tiles))
    shares: list[list[tuple[int, int, bool]]] = [[] for _ in range(count)]
    loads = [0.0] * count
    for i, j, mirrored in tiles:
        lightest = loads.index(min(loads))
        shares[lightest].append((i, j, mirrored))
        loads[lightest] += left.sizes[i] * right.sizes[j] * (1.0 if mirrored or not symmetric else 0.75)
    return shares


def _same_ids(row: _Block, column: _Block, buffer: TileBuffer) -> Tensor | None:
    """Return 1 where a tile's ids are the same, else 0; None if the blocks' ids do not overlap."""
    if row.first_id > column.last_id or column.first_id > row.last_id:
        return None
    # Floats, not booleans, which torch's CPU kernels write and read more slowly.
    return torch.eq(row.ids[:, None], column.ids, out=buffer(row, column))


def _clear_itself(tile: Tensor, row: _Block, column: _Block, value: float) -> None:
    """Set the entries of a tile at which a row meets itself to ``value``."""
    if row is column:
        tile.fill_diagonal_(value)
    else:
        tile.masked_fill_(row.numbers[:, None] == column.numbers, value)


def _add_sums(
    x: Tensor,
    same: Tensor | None,
    row: _Block,
    column: _Block,
    totals: tuple[Tensor, ...],
    mirrored: tuple[Tensor, ...] | None,
) -> None:
    """Add a tile of logits to its rows' sums, and, mirrored, to its columns'."""
    e = x.exp2_()
    both = row.contrasts and column.contrasts
    totals[0].add_(e.sum(1))
    if both:
        totals[2].addmv_(e, column.positives)
        totals[3].addmv_(e, column.negatives)
    if mirrored is not None:
        mirrored[0].add_(e.sum(0))
        if both:
            mirrored[2].addmv_(e.T, row.positives)
            mirrored[3].addmv_(e.T, row.negatives)
    if same is not None:
        e.mul_(same)
        totals[1].add_(e.sum(1))
        if mirrored is not None:
            mirrored[1].add_(e.sum(0))


def _add_log_sums(
    x: Tensor,
    same: Tensor | None,
    row: _Block,
    column: _Block,
    totals: tuple[Tensor, ...],
    mirrored: tuple[Tensor, ...] | None,
) -> None:
    """Do what :func:`_add_sums` does for log sums."""
    x = x.mul_(_LN2)
    _log_add(totals, x, same, column)
    if mirrored is not None:
        _log_add(mirrored, x.T, None if same is None else same.T, row)


def _log_add(totals: tuple[Tensor, ...], x: Tensor, same: Tensor | None, column: _Block) -> None:
    logits = [x, None if same is None else x.masked_fill(same == 0, float("-inf"))]
    logits += [x + column.positives.log(), x + column.negatives.log()]
    for total, some in zip(totals, logits, strict=True):
        if some is not None:
            torch.logaddexp(total, some.logsumexp(1), out=total)


class _Coefficients(NamedTuple):
    """A block's alpha and beta ``[n, 1]`` and the six factors of its products, times the upstream gradients."""

    alpha: Tensor
    beta: Tensor
    left: Tensor
    right: Tensor
    contrasts: bool


def _coefficients(block: _Block, abnormal_gradient: Tensor) -> _Coefficients:
    alpha, beta, p, r = block.coefficients.T
    alpha, beta = alpha * block.gradients, beta * block.gradients
    p, r, one = p * abnormal_gradient, r * abnormal_gradient, torch.ones_like(alpha)
    # All but the positives' part of G_ij / e_ij is a sum of six products: one matrix product per tile.
    left = torch.stack((alpha, one, p, block.negatives, -r, -block.positives), dim=1)
    right = torch.stack((one, alpha, block.negatives, p, block.positives, r), dim=0)
    return _Coefficients(alpha[:, None], beta[:, None], left, right, block.contrasts)


def _tile_gradient(x: Tensor, same: Tensor | None, row: _Coefficients, column: _Coefficients, factor: Tensor) -> Tensor:
    """Return G_ij of a tile, written over its logits; ``factor`` is working memory."""
    if row.contrasts and column.contrasts:
        torch.mm(row.left, column.right, out=factor)
    else:
        torch.add(row.alpha, column.alpha.T, out=factor)
    if same is not None:
        factor.addcmul_(same, row.beta, value=-1).addcmul_(same, column.beta.T, value=-1)
    return x.exp2_().mul_(factor)


class _OnlineCoefficients(NamedTuple):
    """A block's log2 of alpha, beta, p, r ``[4, n, 1]`` and of c and the abnormal mask ``[n, 1]``; the gradients."""

    logs: Tensor
    log_positives: Tensor
    log_negatives: Tensor
    gradients: Tensor
    abnormal_gradient: Tensor


def _online_coefficients(block: _Block, abnormal_gradient: Tensor) -> _OnlineCoefficients:
    logs = (block.coefficients.T / _LN2)[:, :, None]
    weights = block.positives[:, None].log2(), block.negatives[:, None].log2()
    return _OnlineCoefficients(logs, *weights, block.gradients[:, None], abnormal_gradient)


def _online_tile_gradient(
    x: Tensor, same: Tensor | None, row: _OnlineCoefficients, column: _OnlineCoefficients, factor: Tensor
) -> Tensor:
    """Return G_ij of a tile; every e_ij is formed together with its coefficient, which keeps it in range."""
    left, right = row.logs, column.logs.mT
    weight_i, weight_j = row.gradients, column.gradients.T
    g = weight_i * torch.exp2(x + left[0]) + weight_j * torch.exp2(x + right[0])
    if same is not None:
        positive = weight_i * torch.exp2(x + left[1]) + weight_j * torch.exp2(x + right[1])
        g -= positive.masked_fill_(same == 0, 0.0)
    # The weights c and the abnormal mask go into the exponent: outside it, 0 could meet an infinity.
    g += row.abnormal_gradient * (
        torch.exp2(x + left[2] + column.log_negatives.T)
        + torch.exp2(x + right[2] + row.log_negatives)
        - torch.exp2(x + left[3] + column.log_positives.T)
        - torch.exp2(x + right[3] + row.log_positives)
    )
    return g
