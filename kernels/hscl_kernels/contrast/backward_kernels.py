"""The backward sweep in Triton, row-owned, and the gradients of the inputs that finish it.

With e_ij = exp(s_ij / tau), dL/du_i = sum_j G_ij u_j, G_ij = e_ij (f(i, j) + f(j, i)), f from the coefficients of both
rows: each program forms whole rows of G, so no sum crosses programs but those over the splits of the columns, which
``input_gradients_kernel`` adds in a fixed order. By an integer ticket its last program to finish knows that it is, and
adds up the prototypes' gradients; which one that is changes no sum.
"""

from __future__ import annotations

import triton
import triton.language as tl

from hscl_kernels.contrast.forward_kernels import load_tile
from hscl_kernels.prototypes.triton_kernels import (
    add_prototype_gradients,
    store_input_gradients,
    store_prototype_gradient,
    upstream_gradient,
)

FIT = tl.constexpr(4096.0)  # the largest entry of G in units of the sums, so that float16 neither over- nor underflows

# do_not_specialize: Triton would compile a kernel anew for an integer that is 1 and one that 16 divides, and some of
# these forms spill. do_not_specialize_on_alignment: these may be at any address, and gain nothing from being aligned.


@triton.jit
def term_gradients(
    total,
    sample_to_sample,
    normal_to_abnormal,  # [1] each: upstream gradients, or None
    largest_gradient,  # [1] float32: of rows that have their own, else None
    largest_anchor,  # [1] float32, None where rows have their own gradients
    rows,
    lambda_abnormal,
):
    """Return the gradients of a row's loss and of L_NA in units of the sums, and that unit times FIT."""
    if largest_gradient is not None:
        ss, na = 0.0, 0.0
        highest = tl.load(largest_gradient)
    else:
        ss = upstream_gradient(total, sample_to_sample, 1.0) / rows
        na = upstream_gradient(total, normal_to_abnormal, lambda_abnormal)
        highest = tl.maximum(tl.abs(ss), tl.abs(na) * tl.load(largest_anchor))
    highest = tl.where(highest == 0.0, 1.0, highest)
    return ss / highest * FIT, na / highest * FIT, highest


@triton.jit
def loss_gradients(row_gradients, ss, highest, row, inside, SIZE: tl.constexpr):
    """Return dL/d(loss of the row) in units of the sums, [SIZE]."""
    if row_gradients is not None:
        return tl.load(row_gradients + row, mask=inside, other=0.0) / highest * FIT
    else:
        return tl.full([SIZE], 1.0, tl.float32) * ss


@triton.jit
def store_sums(unit_gradients, sums, split, row, rows, inside, FEATURES: tl.constexpr, WIDTH: tl.constexpr):
    """Store a split's sums, [tile, WIDTH]."""
    feature = tl.arange(0, WIDTH)
    pointer = unit_gradients + (tl.cast(split, tl.int64) * rows + row)[:, None] * FEATURES + feature[None, :]
    tl.store(pointer, sums, mask=inside[:, None] & (feature < FEATURES)[None, :])


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
def sweep_backward_kernel(
    units,  # [N, D] scaled units
    ids,  # [N] integer
    roles,  # [N] integer, or None without the normal-to-abnormal term
    row_state,  # [>= 5, N] float32: alpha, beta, p, r, c
    row_gradients,  # [N] float32: dL/d(loss of the row), or None for those of the terms
    largest_gradient,  # [1] float32: the largest of them, or None
    total,
    sample_to_sample,
    normal_to_abnormal,  # [1] each: upstream gradients of the terms, or None
    largest_anchor,  # [1] float32, None with row_gradients
    unit_gradients,  # [splits, n, D] float32 out
    sweep_factor,  # [1] float32 out: makes dL/du of their sum
    ticket,  # [1] int32 out: 0, for the next launch
    first_row,
    rows,
    columns,
    tiles,  # column tiles per split
    lambda_abnormal,
    gradient_scale,
    PRECISION: tl.constexpr,
    FEATURES: tl.constexpr,
    WIDTH: tl.constexpr,
    ROWS: tl.constexpr,
    COLUMNS: tl.constexpr,
):
    """Compute sum_j G_ij u_j of ROWS rows over one split of the columns, in units of FIT."""
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
    alpha_row = tl.load(row_state + number) * gradient_row
    if roles is not None:
        rows_take_part = tl.min(tl.abs(tl.load(roles + number).to(tl.int32)), 0) < 2
    sums = tl.zeros([ROWS, WIDTH], tl.float32)
    first_tile = split * tiles
    last_tile = tl.minimum(first_tile + tiles, tl.cdiv(columns, COLUMNS))
    for tile in range(first_tile, last_tile):
        column_start = tile * COLUMNS
        column = column_start + tl.arange(0, COLUMNS)
        some = column < columns
        column = tl.minimum(column, columns - 1)
        u_column = load_tile(units, column, FEATURES, WIDTH)
        id_column = tl.load(ids + column).to(tl.int32)
        gradient_column = loss_gradients(row_gradients, ss, highest, column, some, COLUMNS)
        alpha_column = tl.load(row_state + column) * gradient_column
        x = tl.dot(u_row, tl.trans(u_column), input_precision=PRECISION)  # [ROWS, COLUMNS] float32
        # The product of a row with itself has no share, nor have columns outside.
        distance = first_row + block * ROWS - column_start
        if ((distance < COLUMNS) & (distance > -ROWS)) | (column_start + COLUMNS > columns):
            x = tl.where((number[:, None] == column[None, :]) | ~some[None, :], float("-inf"), x)
        g = alpha_row[:, None] + alpha_column[None, :]
        if (tl.max(id_column, 0) >= lowest_id) & (tl.min(id_column, 0) <= highest_id):
            # Row facts that only some tiles need are loaded again there: registers are what bounds this kernel.
            same = tl.load(ids + number).to(tl.int32)[:, None] == id_column[None, :]
            beta_row = tl.load(row_state + columns + number) * gradient_row
            beta_column = tl.load(row_state + columns + column) * gradient_column
            g -= tl.where(same, beta_row[:, None] + beta_column[None, :], 0.0)
        if roles is not None:
            role_column = tl.load(roles + column).to(tl.int32)
            if rows_take_part & (tl.min(tl.abs(role_column), 0) < 2):
                abnormal_row = (tl.load(roles + number).to(tl.int32) == -1).to(tl.float32)
                abnormal_column = (role_column == -1).to(tl.float32)
                p_row = tl.load(row_state + 2 * columns + number) * na
                r_row = tl.load(row_state + 3 * columns + number) * na
                c_row = tl.load(row_state + 4 * columns + number)
                p_column = tl.load(row_state + 2 * columns + column) * na
                r_column = tl.load(row_state + 3 * columns + column) * na
                c_column = tl.load(row_state + 4 * columns + column)
                g += p_row[:, None] * abnormal_column[None, :] + abnormal_row[:, None] * p_column[None, :]
                g -= r_row[:, None] * c_column[None, :] + c_row[:, None] * r_column[None, :]
        g *= tl.exp2(x)
        sums = tl.dot(g.to(u_column.dtype), u_column, sums, input_precision=PRECISION)
    store_sums(unit_gradients, sums, split, row, rows, inside, FEATURES, WIDTH)


@triton.jit(
    do_not_specialize=["rows", "prototype_count", "splits", "blocks_per_program"],
    do_not_specialize_on_alignment=["slopes", "total", "sample_to_prototype", "prototypes"],
)
def input_gradients_kernel(
    unit_gradients,  # [splits, N, D] float32: partial sums of sum_j G_ij (scaled unit)_j
    sweep_factor,  # [1] float32: what makes dL/du of them
    slopes,  # [N] float32: dL_SP/dm
    total,
    sample_to_prototype,  # [1]: upstream gradients, or None
    index,  # [N] int64
    units,  # [N, D]
    lengths,  # [N] float32
    prototypes,  # [K, D], or None
    embedding_gradients,  # [N, D] out
    prototype_parts,  # [programs, K, D] float32 out: sum of slope times u over this program's rows
    prototype_gradients,  # [K, D] out, or None where another launch adds the parts up
    ticket,  # [1] int32, 0
    rows,
    prototype_count,
    splits,
    blocks_per_program,
    lambda_prototype,
    scale,
    SATURATE: tl.constexpr,  # the largest float16 where that is the gradient's dtype, else 0
    FEATURES: tl.constexpr,
    WIDTH: tl.constexpr,
    BLOCK: tl.constexpr,
    PROTOTYPE_BLOCK: tl.constexpr,
    PART_BLOCK: tl.constexpr,
):
    """Compute dL/dz = (I - u u^T) (dL/du) / ||z||, with dL/du from the sweep and from the nearest prototype."""
    # Inductor passes numbers as float64, in which all that follows would be computed.
    lambda_prototype, scale = tl.cast(lambda_prototype, tl.float32), tl.cast(scale, tl.float32)
    program = tl.program_id(0)
    feature = tl.arange(0, WIDTH)
    if prototypes is not None:
        upstream = upstream_gradient(total, sample_to_prototype, lambda_prototype)
    for step in range(blocks_per_program):
        row = ((program * blocks_per_program + step) * BLOCK + tl.arange(0, BLOCK)).to(tl.int64)
        inside = row < rows
        present = inside[:, None] & (feature < FEATURES)[None, :]
        place = row[:, None] * FEATURES + feature[None, :]
        u = tl.load(units + place, mask=present, other=0.0).to(tl.float32) / scale
        by_unit = tl.zeros([BLOCK, WIDTH], tl.float32)
        for split in range(splits):
            part = unit_gradients + tl.cast(split, tl.int64) * rows * FEATURES
            by_unit += tl.load(part + place, mask=present, other=0.0)
        by_unit *= tl.load(sweep_factor)
        if prototypes is not None:
            slope = tl.load(slopes + row, mask=inside, other=0.0) * upstream
            nearest = tl.load(index + row, mask=inside, other=0)
            part = prototype_parts + tl.cast(program, tl.int64) * prototype_count * FEATURES
            by_unit += add_prototype_gradients(
                slope, nearest, u, prototypes, prototype_count, part, step, FEATURES, WIDTH, PROTOTYPE_BLOCK
            )
        length = tl.load(lengths + row, mask=inside, other=1.0)
        store_input_gradients(by_unit, u, length, embedding_gradients, place, present, SATURATE)
    if prototype_gradients is not None:
        tl.debug_barrier()
        programs = tl.num_programs(0)
        if tl.atomic_add(ticket, 1, sem="acq_rel") == programs - 1:
            for k in range(prototype_count):
                store_prototype_gradient(
                    k,
                    prototype_parts,
                    prototypes,
                    prototype_gradients,
                    programs,
                    prototype_count,
                    FEATURES,
                    WIDTH,
                    PART_BLOCK,
                )
