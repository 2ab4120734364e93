"""The sweep at temperatures below 0.03, at which exp(s / tau) overflows: log2 sums with a running maximum.

Rare, so it is as simple as it can be: each program owns rows and sees all columns, in either direction.
"""

from __future__ import annotations

import triton
import triton.language as tl

from hscl_kernels.contrast.backward_kernels import FIT, loss_gradients, store_sums, term_gradients
from hscl_kernels.contrast.forward_kernels import any_takes_part, load_tile, may_have_positives, take_part


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


@triton.jit(
    do_not_specialize=["first_row", "rows", "columns", "tiles"],
    do_not_specialize_on_alignment=[
        "ids",
        "roles",
        "row_gradients",
        "largest_gradient",
        "total",
        "sample_to_sample",
        "normal_to_abnormal",
        "largest_anchor",
    ],
)
def sweep_backward_online_kernel(
    units,  # the arguments of sweep_backward_kernel, with log2 of alpha, beta, p and r in row_state
    ids,
    roles,
    row_state,
    row_gradients,
    largest_gradient,
    total,
    sample_to_sample,
    normal_to_abnormal,
    largest_anchor,
    unit_gradients,
    sweep_factor,
    ticket,
    first_row,
    rows,
    columns,
    tiles,
    lambda_abnormal,
    gradient_scale,
    PRECISION: tl.constexpr,
    FEATURES: tl.constexpr,
    WIDTH: tl.constexpr,
    ROWS: tl.constexpr,
    COLUMNS: tl.constexpr,
):
    """Compute sum_j G_ij u_j as ``sweep_backward_kernel`` does, each term of G as one power of two.

    Weights go into the exponent: outside it, 0 could meet an infinity.
    """
    # Inductor passes numbers as float64, in which all that follows would be computed.
    lambda_abnormal, gradient_scale = tl.cast(lambda_abnormal, tl.float32), tl.cast(gradient_scale, tl.float32)
    block, split = tl.program_id(0), tl.program_id(1)
    row = block * ROWS + tl.arange(0, ROWS)
    inside = row < rows
    number = first_row + tl.minimum(row, rows - 1)
    ss, na, highest = term_gradients(
        total, sample_to_sample, normal_to_abnormal, largest_gradient, largest_anchor, columns, lambda_abnormal
    )
    if (block == 0) & (split == 0):
        tl.store(sweep_factor, highest / FIT * gradient_scale)
        tl.store(ticket, 0)

    u_row = load_tile(units, number, FEATURES, WIDTH)
    id_row = tl.load(ids + number).to(tl.int32)
    lowest_id, highest_id = tl.min(id_row, 0), tl.max(id_row, 0)
    gradient_row = loss_gradients(row_gradients, ss, highest, number, inside, ROWS)
    alpha_row = tl.load(row_state + number)
    if roles is not None:
        rows_take_part = tl.min(tl.abs(tl.load(roles + number).to(tl.int32)), 0) < 2
    sums = tl.zeros([ROWS, WIDTH], tl.float32)
    first_tile = split * tiles
    for tile in range(first_tile, tl.minimum(first_tile + tiles, tl.cdiv(columns, COLUMNS))):
        column_start = tile * COLUMNS
        column = column_start + tl.arange(0, COLUMNS)
        some = column < columns
        column = tl.minimum(column, columns - 1)
        u_column = load_tile(units, column, FEATURES, WIDTH)
        id_column = tl.load(ids + column).to(tl.int32)
        gradient_column = loss_gradients(row_gradients, ss, highest, column, some, COLUMNS)
        alpha_column = tl.load(row_state + column)
        x = tl.dot(u_row, tl.trans(u_column), input_precision=PRECISION)  # [ROWS, COLUMNS] float32
        x = tl.where((number[:, None] == column[None, :]) | ~some[None, :], float("-inf"), x)
        g = gradient_row[:, None] * tl.exp2(x + alpha_row[:, None])
        g += gradient_column[None, :] * tl.exp2(x + alpha_column[None, :])
        if (tl.max(id_column, 0) >= lowest_id) & (tl.min(id_column, 0) <= highest_id):
            same = tl.load(ids + number).to(tl.int32)[:, None] == id_column[None, :]
            beta_row = tl.load(row_state + columns + number)
            beta_column = tl.load(row_state + columns + column)
            positive = gradient_row[:, None] * tl.exp2(x + beta_row[:, None])
            positive += gradient_column[None, :] * tl.exp2(x + beta_column[None, :])
            g -= tl.where(same, positive, 0.0)
        if roles is not None:
            role_column = tl.load(roles + column).to(tl.int32)
            if rows_take_part & (tl.min(tl.abs(role_column), 0) < 2):
                abnormal_row = (tl.load(roles + number).to(tl.int32) == -1).to(tl.float32)
                abnormal_column = (role_column == -1).to(tl.float32)
                p_row = tl.load(row_state + 2 * columns + number)
                r_row = tl.load(row_state + 3 * columns + number)
                c_row = tl.load(row_state + 4 * columns + number)
                p_column = tl.load(row_state + 2 * columns + column)
                r_column = tl.load(row_state + 3 * columns + column)
                c_column = tl.load(row_state + 4 * columns + column)
                g += na * tl.exp2(x + p_row[:, None] + tl.log2(abnormal_column)[None, :])
                g += na * tl.exp2(x + p_column[None, :] + tl.log2(abnormal_row)[:, None])
                g -= na * tl.exp2(x + r_row[:, None] + tl.log2(c_column)[None, :])
                g -= na * tl.exp2(x + r_column[None, :] + tl.log2(c_row)[:, None])
        sums = tl.dot(g.to(u_column.dtype), u_column, sums, input_precision=PRECISION)
    store_sums(unit_gradients, sums, split, row, rows, inside, FEATURES, WIDTH)
