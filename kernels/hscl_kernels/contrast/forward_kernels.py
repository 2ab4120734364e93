"""The forward sweep over exp(s / tau) in Triton: on and above the diagonal, the N x N matrix never in memory.

Units carry sqrt(log2(e) / tau), so that exp(s_ij / tau) = 2**<u_i, u_j>, one MUFU instruction on an accumulator of the
tensor cores; with s in [-1, 1] no maximum is needed down to tau = 0.03 (hscl_kernels.contrast.online_kernels goes
below). Work that a tile does not need is skipped by branches all its threads agree on: the comparison of ids where ids
cannot be equal, the normal-to-abnormal sums where no row takes part in them, masks away from the diagonal and the edge.

No floating-point atomics: row and column sums go to buffers that the next launch adds in a fixed order.
"""

from __future__ import annotations

import triton
import triton.language as tl

from hscl_kernels.prototypes.triton_kernels import store_ranges

# do_not_specialize: Triton would compile a kernel anew for an integer that is 1 and one that 16 divides, and some of
# these forms spill. do_not_specialize_on_alignment: these may be at any address, and gain nothing from being aligned.


@triton.jit
def load_tile(units, row, FEATURES: tl.constexpr, WIDTH: tl.constexpr):
    """Return rows of the units, [tile, WIDTH]. All of them must exist."""
    feature = tl.arange(0, WIDTH)
    pointer = units + row.to(tl.int64)[:, None] * FEATURES + feature[None, :]
    if FEATURES == WIDTH:
        return tl.load(pointer)
    else:
        return tl.load(pointer, mask=(feature < FEATURES)[None, :], other=0.0)


@triton.jit
def load_ranges(ranges, which: tl.constexpr, rows, start, SIZE: tl.constexpr, RANGE: tl.constexpr):
    """Return one of the three ranges, of every RANGE rows, of SIZE rows from ``start``, a multiple of SIZE or RANGE."""
    blocks = tl.cdiv(rows, RANGE)
    block = start // RANGE + tl.arange(0, (SIZE + RANGE - 1) // RANGE)
    return tl.load(ranges + which * blocks + tl.minimum(block, blocks - 1))


@triton.jit
def may_have_positives(ranges, lowest, highest, rows, start, SIZE: tl.constexpr, RANGE: tl.constexpr):
    """Return whether ids of SIZE rows from ``start`` and ids from ``lowest`` to ``highest`` can be equal."""
    lowest_here = tl.min(load_ranges(ranges, 0, rows, start, SIZE, RANGE), 0)
    highest_here = tl.max(load_ranges(ranges, 1, rows, start, SIZE, RANGE), 0)
    return (lowest_here <= highest) & (lowest <= highest_here)


@triton.jit
def take_part(ranges, rows, start, SIZE: tl.constexpr, RANGE: tl.constexpr):
    """Return whether any of SIZE rows from ``start`` has a part in the normal-to-abnormal term."""
    return tl.max(load_ranges(ranges, 2, rows, start, SIZE, RANGE), 0) > 0


@triton.jit
def any_takes_part(ranges, rows, start, SIZE: tl.constexpr, RANGE: tl.constexpr):
    """Return what ``take_part`` does, for any ``start``: the rows may end in one more range."""
    end = tl.minimum(start + SIZE, rows) - 1
    return take_part(ranges, rows, start, SIZE, RANGE) | take_part(ranges, rows, end, 1, RANGE)


@triton.jit
def _add_to(pointer, inside, values):
    """Add values to those that this program has already written."""
    tl.store(pointer, tl.load(pointer, mask=inside, other=0.0) + values, mask=inside)


@triton.jit(do_not_specialize=["rows"], do_not_specialize_on_alignment=["ids", "roles"])
def row_ranges_kernel(
    ids,  # [N] integer
    roles,  # [N] integer
    ranges,  # [3, blocks] int32 out
    rows,
    BLOCK: tl.constexpr,
):
    """Compute the ranges of every BLOCK rows where unit_rows_kernel does not: in the sharded form."""
    block = tl.program_id(0)
    row = block * BLOCK + tl.arange(0, BLOCK)
    inside = row < rows
    store_ranges(ranges, block, tl.num_programs(0), ids, roles, row, inside)


@triton.jit
def upper_place(program, supers):
    """Return row and column of a program's super-tile on or above the diagonal."""
    # Rows r and supers - 1 - r of the triangle together have supers + 1 super-tiles.
    pair, place = program // (supers + 1), program % (supers + 1)
    upper = place < supers - pair
    return tl.where(upper, pair, supers - 1 - pair), tl.where(upper, pair + place, place - 1)


@triton.jit
def sweep_super_tile(
    units,
    ids,
    shares,
    ranges,
    partials,
    super_row,
    super_column,
    first_column,
    rows,
    columns,
    supers,
    slots,
    tiles,
    TRIANGULAR: tl.constexpr,
    PRECISION: tl.constexpr,
    FEATURES: tl.constexpr,
    WIDTH: tl.constexpr,
    ROWS: tl.constexpr,
    COLUMNS: tl.constexpr,
    RANGE: tl.constexpr,
):
    """Compute the partial column sums of one super-tile, TRIANGULAR: also its row sums. See ``sweep_forward_kernel``.

    The wanted rows are columns here. Tiles of them are held, and the N rows go past. Column sums stay in registers, a
    number for every element of the tile, and are added up once at the end; row sums, which cost a few exchanges within
    a warp, are added to memory. What rare tiles need besides is loaded or converted in their branches: registers bound
    this kernel, and so does the number of instructions.
    """
    SIDE: tl.constexpr = ROWS if ROWS > COLUMNS else COLUMNS
    first_row_tile, first_column_tile = super_row * tiles * (SIDE // ROWS), super_column * tiles * (SIDE // COLUMNS)
    last_row_tile = tl.minimum(first_row_tile + tiles * (SIDE // ROWS), tl.cdiv(rows, ROWS))
    last_column_tile = tl.minimum(first_column_tile + tiles * (SIDE // COLUMNS), tl.cdiv(columns, COLUMNS))
    quantity = tl.cast(slots, tl.int64) * columns  # from one of the four sums to the next
    column_slot = partials + super_row.to(tl.int64) * columns
    # `TRIANGULAR and ...` of a tensor would be a tensor, whose branch is compiled in either form.
    if TRIANGULAR:
        diagonal = super_row == super_column
        # The column sums of super-tiles on the diagonal have a slot of their own.
        column_slot = partials + tl.where(diagonal, supers, super_row).to(tl.int64) * columns
        row_slot = partials + super_column.to(tl.int64) * columns
        for tile in range(first_row_tile, last_row_tile):
            row = tile * ROWS + tl.arange(0, ROWS)
            nothing = tl.zeros([ROWS], tl.float32)
            tl.store(row_slot + row, nothing, mask=row < rows)
            tl.store(row_slot + quantity + row, nothing, mask=row < rows)
            if shares is not None:
                tl.store(row_slot + 2 * quantity + row, nothing, mask=row < rows)
                tl.store(row_slot + 3 * quantity + row, nothing, mask=row < rows)
        tl.debug_barrier()

    for column_tile in range(first_column_tile, last_column_tile):
        column_start = column_tile * COLUMNS
        column = column_start + tl.arange(0, COLUMNS)  # among the n wanted
        number = first_column + tl.minimum(column, columns - 1)  # among all N
        u_column = load_tile(units, number, FEATURES, WIDTH)
        id_column = tl.load(ids + number).to(tl.int32)
        lowest, highest = tl.min(id_column, 0), tl.max(id_column, 0)
        # A number for every element of the tile: adding them up costs as much as all else, so it is done only once.
        all_sums = tl.zeros([ROWS, COLUMNS], tl.float32)
        same_sums = tl.zeros([COLUMNS], tl.float32)
        if shares is not None:
            share_column = tl.load(shares + number)
            normal_sums = tl.zeros([COLUMNS], tl.float32)
            abnormal_sums = tl.zeros([COLUMNS], tl.float32)
            columns_take_part = any_takes_part(ranges, rows, first_column + column_start, COLUMNS, RANGE)
        end = last_row_tile
        if TRIANGULAR:
            # Below the diagonal, the same tile stands above it.
            end = tl.minimum(end, (column_start // SIDE + 1) * (SIDE // ROWS))
        for row_tile in range(first_row_tile, end):
            row_start = row_tile * ROWS
            row = row_start + tl.arange(0, ROWS)
            inside = row < rows
            row = tl.minimum(row, rows - 1)
            u_row = load_tile(units, row, FEATURES, WIDTH)
            values = tl.dot(u_row, tl.trans(u_column), input_precision=PRECISION)  # [ROWS, COLUMNS] float32
            # Places are counted from the tile's first row, so that no column's mask is kept for all tiles.
            distance = first_column + column_start - row_start
            at_diagonal = (distance < ROWS) & (distance > -COLUMNS)
            if at_diagonal | (row_start + ROWS > rows) | (column_start + COLUMNS > columns):
                down, across = tl.arange(0, ROWS)[:, None], (distance + tl.arange(0, COLUMNS))[None, :]
                some = (down < rows - row_start) & (across < first_column + columns - row_start)
                values = tl.where(some & (down != across), values, float("-inf"))
            values = tl.exp2(values)
            mirrored = True
            if TRIANGULAR:
                mirrored = row_start // SIDE < column_start // SIDE  # then the columns' rows do not go past as rows
                _add_to(row_slot + row, inside, tl.sum(values, 1))
            if mirrored:
                all_sums += values
            if may_have_positives(ranges, lowest, highest, rows, row_start, ROWS, RANGE):
                id_row = tl.load(ids + row).to(tl.int32)
                same = tl.where(id_row[:, None] == id_column[None, :], values, 0.0)
                if TRIANGULAR:
                    _add_to(row_slot + quantity + row, inside, tl.sum(same, 1))
                if mirrored:
                    same_sums += tl.sum(same, 0)
            if shares is not None:
                contrasts = columns_take_part & take_part(ranges, rows, row_start, ROWS, RANGE)
                if contrasts:
                    if TRIANGULAR:
                        normal = values * tl.maximum(share_column, 0.0)[None, :]
                        _add_to(row_slot + 2 * quantity + row, inside, tl.sum(normal, 1))
                        abnormal = tl.where((share_column < 0.0)[None, :], values, 0.0)
                        _add_to(row_slot + 3 * quantity + row, inside, tl.sum(abnormal, 1))
                    if mirrored:
                        share_row = tl.load(shares + row)
                        normal_sums += tl.sum(values * tl.maximum(share_row, 0.0)[:, None], 0)
                        abnormal_sums += tl.sum(tl.where((share_row < 0.0)[:, None], values, 0.0), 0)

        wanted = column < columns
        tl.store(column_slot + column, tl.sum(all_sums, 0), mask=wanted)
        tl.store(column_slot + quantity + column, same_sums, mask=wanted)
        if shares is not None:
            tl.store(column_slot + 2 * quantity + column, normal_sums, mask=wanted)
            tl.store(column_slot + 3 * quantity + column, abnormal_sums, mask=wanted)
        if TRIANGULAR:
            tl.debug_barrier()  # the next tile of columns adds to row sums that other threads have written


@triton.jit(
    do_not_specialize=["first_column", "rows", "columns", "supers", "slots", "tiles"],
    do_not_specialize_on_alignment=["ids"],
)
def sweep_forward_kernel(
    units,  # [N, D] scaled units
    ids,  # [N] integer
    shares,  # [N] float32: c, or -1 for an abnormal row; None without the normal-to-abnormal term
    ranges,  # [3, blocks] int32, of every RANGE rows
    partials,  # [4, slots, n] float32 out: sums over all, positives, c, abnormal
    first_column,  # the n rows whose sums are wanted begin here
    rows,  # N
    columns,  # n
    supers,  # super-tiles along the N rows
    slots,  # supers, TRIANGULAR: supers + 1
    tiles,  # tiles of the longer side along a super-tile
    TRIANGULAR: tl.constexpr,  # n = N: only tiles on and above the diagonal, each for both of its sides
    PRECISION: tl.constexpr,
    FEATURES: tl.constexpr,
    WIDTH: tl.constexpr,
    ROWS: tl.constexpr,
    COLUMNS: tl.constexpr,
    RANGE: tl.constexpr,
):
    """Compute partial column sums (TRIANGULAR: also row sums) of one super-tile of e_ij = exp(s_ij / tau)."""
    program = tl.program_id(0)
    if TRIANGULAR:
        super_row, super_column = upper_place(program, supers)
    else:
        super_row, super_column = program % supers, program // supers
    sweep_super_tile(
        units,
        ids,
        shares,
        ranges,
        partials,
        super_row,
        super_column,
        first_column,
        rows,
        columns,
        supers,
        slots,
        tiles,
        TRIANGULAR,
        PRECISION,
        FEATURES,
        WIDTH,
        ROWS,
        COLUMNS,
        RANGE,
    )
