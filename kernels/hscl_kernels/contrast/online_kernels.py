"""The sweep at temperatures below 0.03, at which exp(s / tau) overflows: log2 sums with a running maximum.

Rare, so it is as simple as it can be: each program owns rows and sees all columns, in either direction.
"""

from __future__ import annotations

import triton
import triton.language as tl

from hscl_kernels.contrast.triton_kernels import any_takes_part, load_tile, may_have_positives, take_part


@triton.jit
def _log_add(total, values):
    """Return log2(2**total + the sum of 2**values along each row), -inf where all are."""
    highest = tl.maximum(total, tl.max(values, 1))
    highest = tl.where(highest == float("-inf"), 0.0, highest)
    return highest + tl.log2(tl.exp2(total - highest) + tl.sum(tl.exp2(values - highest[:, None]), 1))


@triton.jit(do_not_specialize=["first_row", "rows", "columns", "tiles"], do_not_specialize_on_alignment=["ids"])
def sweep_forward_online_kernel(
    units,  # [N, D] scaled units
    ids,  # [N] integer
    shares,  # [N] float32: c, or -1 for an abnormal row; None without the normal-to-abnormal term
    ranges,  # [3, blocks] int32, of every RANGE rows
    partials,  # [4, splits, n] float32 out: log2 sums over all, positives, c, abnormal
    first_row,  # the n rows whose sums are wanted begin here
    rows,  # n
    columns,  # N
    tiles,  # column tiles per split
    PRECISION: tl.constexpr,
    FEATURES: tl.constexpr,
    WIDTH: tl.constexpr,
    ROWS: tl.constexpr,
    COLUMNS: tl.constexpr,
    RANGE: tl.constexpr,
):
    """Compute log2 of the row sums of e_ij = exp(s_ij / tau) over one split of the columns."""
    block, split = tl.program_id(0), tl.program_id(1)
    row_start = first_row + block * ROWS
    row = block * ROWS + tl.arange(0, ROWS)  # among the n wanted
    inside = row < rows
    number = first_row + tl.minimum(row, rows - 1)  # among all N
    u_row = load_tile(units, number, FEATURES, WIDTH)
    id_row = tl.load(ids + number).to(tl.int32)
    lowest, highest = tl.min(id_row, 0), tl.max(id_row, 0)
    log_all = tl.full([ROWS], float("-inf"), tl.float32)
    log_same = tl.full([ROWS], float("-inf"), tl.float32)
    if shares is not None:
        rows_take_part = any_takes_part(ranges, columns, row_start, ROWS, RANGE)
        log_normal = tl.full([ROWS], float("-inf"), tl.float32)
        log_abnormal = tl.full([ROWS], float("-inf"), tl.float32)

    first_tile = split * tiles
    for tile in range(first_tile, tl.minimum(first_tile + tiles, tl.cdiv(columns, COLUMNS))):
        column_start = tile * COLUMNS
        column = column_start + tl.arange(0, COLUMNS)
        some = column < columns
        column = tl.minimum(column, columns - 1)
        u_column = load_tile(units, column, FEATURES, WIDTH)
        x = tl.dot(u_row, tl.trans(u_column), input_precision=PRECISION)  # [ROWS, COLUMNS] float32
        x = tl.where(some[None, :] & (number[:, None] != column[None, :]), x, float("-inf"))
        log_all = _log_add(log_all, x)
        if may_have_positives(ranges, lowest, highest, columns, column_start, COLUMNS, RANGE):
            id_column = tl.load(ids + column).to(tl.int32)
            log_same = _log_add(log_same, tl.where(id_row[:, None] == id_column[None, :], x, float("-inf")))
        if shares is not None:
            share = tl.load(shares + column)
            if rows_take_part & take_part(ranges, columns, column_start, COLUMNS, RANGE):
                log_normal = _log_add(log_normal, x + tl.log2(tl.maximum(share, 0.0))[None, :])
                log_abnormal = _log_add(log_abnormal, tl.where((share < 0.0)[None, :], x, float("-inf")))

    quantity = tl.num_programs(1).to(tl.int64) * rows  # from one of the four sums to the next
    slot = partials + split.to(tl.int64) * rows + row
    tl.store(slot, log_all, mask=inside)
    tl.store(slot + quantity, log_same, mask=inside)
    if shares is not None:
        tl.store(slot + 2 * quantity, log_normal, mask=inside)
        tl.store(slot + 3 * quantity, log_abnormal, mask=inside)
