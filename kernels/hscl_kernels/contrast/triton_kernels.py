"""The sweep over exp(s / tau) in Triton: triangular forward, row-owned backward, the N x N matrix never in memory.

Units carry sqrt(log2(e) / tau), so that exp(s_ij / tau) = 2**<u_i, u_j>, one MUFU instruction on an accumulator of the
tensor cores; with s in [-1, 1] no maximum is needed down to tau = 0.03 (below that, see hscl_kernels.contrast
.online_kernels and ``ONLINE``). Work that a tile does not need is skipped by branches all its threads agree on: the
comparison of ids where ids cannot be equal, the normal-to-abnormal sums where no row takes part in them, masks away
from the diagonal and the edge.

No floating-point atomics: row and column sums go to buffers that the next launch adds in a fixed order. The one atomic
is an integer ticket by which the last program to finish knows that it is; which one that is changes no sum.
"""

from __future__ import annotations

import triton
import triton.language as tl

from hscl_kernels.prototypes.triton_kernels import store_ranges, upstream_gradient

LN2 = tl.constexpr(0.6931471805599453)

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
    """Compute partial column sums (TRIANGULAR: also row sums) of one super-tile of e_ij = exp(s_ij / tau).

    The wanted rows are columns here. Tiles of them are held, and the N rows go past. Column sums stay in registers, a
    number for every element of the tile, and are added up once at the end; row sums, which cost a few exchanges within
    a warp, are added to memory. What rare tiles need besides is loaded or converted in their branches: registers bound
    this kernel, and so does the number of instructions.
    """
    SIDE: tl.constexpr = ROWS if ROWS > COLUMNS else COLUMNS
    program = tl.program_id(0)
    if TRIANGULAR:
        # Rows r and supers - 1 - r of the triangle together have supers + 1 super-tiles.
        pair, place = program // (supers + 1), program % (supers + 1)
        upper = place < supers - pair
        super_row = tl.where(upper, pair, supers - 1 - pair)
        super_column = tl.where(upper, pair + place, place - 1)
    else:
        super_row, super_column = program % supers, program // supers
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
                if columns_take_part & take_part(ranges, rows, row_start, ROWS, RANGE):
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


@triton.jit
def _total(partials, row, inside, rows, slots, ONLINE: tl.constexpr, BLOCK: tl.constexpr):
    """Return log2 of the sum of one quantity over all slots, [BLOCK]."""
    if ONLINE:
        total = tl.full([BLOCK], float("-inf"), tl.float32)
        for slot in range(slots):
            part = tl.load(partials + tl.cast(slot, tl.int64) * rows + row, mask=inside, other=float("-inf"))
            highest = tl.maximum(total, part)
            highest = tl.where(highest == float("-inf"), 0.0, highest)
            total = highest + tl.log2(tl.exp2(total - highest) + tl.exp2(part - highest))
        return total
    else:
        total = tl.zeros([BLOCK], tl.float32)
        for slot in range(slots):
            total += tl.load(partials + tl.cast(slot, tl.int64) * rows + row, mask=inside, other=0.0)
        return tl.log2(total)


@triton.jit(
    do_not_specialize=["rows", "slots"],
)
def log_sums_kernel(
    partials,  # [4, slots, n] float32
    log_sums,  # [4, n] float32 out: natural logarithms
    rows,
    slots,
    ONLINE: tl.constexpr,
    BLOCK: tl.constexpr,
):
    """Compute the four log sums of every row for the sharded form, whose losses also need the rows of other ranks."""
    row = tl.program_id(0) * BLOCK + tl.arange(0, BLOCK)
    inside = row < rows
    quantity = tl.cast(tl.program_id(1), tl.int64)
    total = _total(partials + quantity * slots * rows, row, inside, rows, slots, ONLINE, BLOCK)
    tl.store(log_sums + quantity * rows + row, total * LN2, mask=inside)


@triton.jit
def _block_sum(block_sums, quantity, blocks, BLOCK: tl.constexpr):
    """Return the sum of one quantity over the blocks of unit_rows_kernel, added in a fixed order."""
    total = 0.0
    for first in range(0, blocks, BLOCK):
        block = first + tl.arange(0, BLOCK)
        total += tl.sum(tl.load(block_sums + quantity * blocks + block, mask=block < blocks, other=0.0), 0)
    return total


@triton.jit(
    do_not_specialize=["rows", "slots", "blocks"],
    do_not_specialize_on_alignment=["roles", "anchors"],
)
def row_terms_kernel(
    partials,  # [4, slots, N] float32
    roles,  # [N] integer
    similarity,  # [N] float32: m (without CONTRASTS the lengths)
    weights,  # [N] float32: w
    shares,  # [N] float32: c up to a factor (SAMPLED: as is), -1 for an abnormal row
    anchors,  # [N] float32: a (SAMPLED only)
    block_sums,  # [BLOCK_SUMS, blocks] float32
    row_losses,  # [N] float32 out (without CONTRASTS)
    row_state,  # [6, N] float32 out: alpha, beta, p, r (ONLINE: their log2), the c that r is for, dL_SP/dm
    program_parts,  # [3, programs] float32 out: sums of both losses, largest anchor
    total,
    sample_to_sample,
    sample_to_prototype,
    normal_to_abnormal,
    largest_anchor,  # [1] each, float32 out
    ticket,  # [1] int32, 0
    rows,
    slots,
    blocks,
    lambda_prototype,
    lambda_abnormal,
    CONTRASTS: tl.constexpr,
    SAMPLED: tl.constexpr,
    ONLINE: tl.constexpr,
    BLOCK: tl.constexpr,
):
    """Compute rows' losses and gradient coefficients; the program that ends last adds the losses (Eq. 1, 4, 6, 8)."""
    program = tl.program_id(0)
    row = program * BLOCK + tl.arange(0, BLOCK)
    inside = row < rows
    quantity = tl.cast(slots, tl.int64) * rows
    NOTHING: tl.constexpr = float("-inf") if ONLINE else 0.0

    log_all = _total(partials, row, inside, rows, slots, ONLINE, BLOCK)
    log_same = _total(partials + quantity, row, inside, rows, slots, ONLINE, BLOCK)
    has_positive = inside & ((log_same != float("-inf")) | (log_all != log_all))  # NaN stays
    log_all = tl.where(has_positive, log_all, 0.0)
    log_same = tl.where(has_positive, log_same, 0.0)
    loss = (log_all - log_same) * LN2
    alpha = -log_all if ONLINE else tl.exp2(-log_all)
    beta = -log_same if ONLINE else tl.exp2(-log_same)
    tl.store(row_state + row, tl.where(has_positive, alpha, NOTHING), mask=inside)
    tl.store(row_state + rows + row, tl.where(has_positive, beta, NOTHING), mask=inside)
    m = tl.load(similarity + row, mask=inside, other=0.0)
    if not CONTRASTS:
        tl.store(row_losses + row, loss + 0.0 * m, mask=inside)  # a single row has no others in which its NaN shows
        return

    mass = _block_sum(block_sums, 0, blocks, BLOCK)
    kept = _block_sum(block_sums, 1, blocks, BLOCK)
    eligible = _block_sum(block_sums, 2, blocks, BLOCK)
    abnormal_rows = _block_sum(block_sums, 3, blocks, BLOCK)
    mass = tl.where(mass > 0, mass, tl.where(mass == 0, 1.0, mass))  # NaN stays
    abnormal_rows = tl.maximum(abnormal_rows, 1.0)
    c = tl.maximum(tl.load(shares + row, mask=inside, other=0.0), 0.0)
    if SAMPLED:
        anchor = tl.load(anchors + row, mask=inside, other=0.0)
        factor = 1.0
    else:
        kept = tl.where(kept > 0, kept, 1.0)
        anchor = c / kept
        factor = eligible / kept
    log_factor = tl.log2(tl.where(eligible > 0, factor, 1.0))
    log_normal = _total(partials + 2 * quantity, row, inside, rows, slots, ONLINE, BLOCK) + log_factor
    log_abnormal = _total(partials + 3 * quantity, row, inside, rows, slots, ONLINE, BLOCK)
    has_both = (anchor > 0) & (log_normal != float("-inf")) & (log_abnormal != float("-inf"))
    log_normal = tl.where(has_both, log_normal, 0.0)
    log_abnormal = tl.where(has_both, log_abnormal, 0.0)
    ratio = log_abnormal - log_normal
    tail = tl.exp2(-tl.abs(ratio))
    # log2(1 + tail), exact where the tail is small
    log_tail = tl.where(tail < 1e-3, tail * (1.0 - tail * (0.5 - tail / 3.0)) / LN2, tl.log2(1.0 + tail))
    log_both = tl.maximum(log_normal, log_abnormal) + log_tail
    contrast = tl.where(has_both, anchor * (tl.maximum(ratio, 0.0) + log_tail) * LN2, 0.0)
    log_anchor = tl.log2(tl.where(has_both, anchor, 1.0))
    log_p = log_anchor - log_both
    log_r = log_p + ratio + log_factor
    p = log_p if ONLINE else tl.exp2(log_p)
    r = log_r if ONLINE else tl.exp2(log_r)
    tl.store(row_state + 2 * rows + row, tl.where(has_both, p, NOTHING), mask=inside)
    tl.store(row_state + 3 * rows + row, tl.where(has_both, r, NOTHING), mask=inside)
    tl.store(row_state + 4 * rows + row, c, mask=inside)

    w = tl.load(weights + row, mask=inside, other=0.0)
    abnormal = tl.load(roles + row, mask=inside, other=2).to(tl.int32) == -1
    slope = -2.0 * w * w * (1.0 - m) / mass + tl.where(abnormal, 2.0 * tl.maximum(m, 0.0) / abnormal_rows, 0.0)
    tl.store(row_state + 5 * rows + row, slope, mask=inside)

    programs = tl.num_programs(0)
    tl.store(program_parts + program, tl.sum(tl.where(inside, loss, 0.0), 0))
    tl.store(program_parts + programs + program, tl.sum(contrast, 0))
    tl.store(program_parts + 2 * programs + program, tl.max(anchor, 0))
    tl.debug_barrier()
    if tl.atomic_add(ticket, 1, sem="acq_rel") == programs - 1:
        ss, na, highest = 0.0, 0.0, 0.0
        for first in range(0, programs, BLOCK):
            part = first + tl.arange(0, BLOCK)
            some = part < programs
            ss += tl.sum(tl.load(program_parts + part, mask=some, other=0.0, cache_modifier=".cg"), 0)
            na += tl.sum(tl.load(program_parts + programs + part, mask=some, other=0.0, cache_modifier=".cg"), 0)
            peak = tl.load(program_parts + 2 * programs + part, mask=some, other=0.0, cache_modifier=".cg")
            highest = tl.maximum(highest, tl.max(peak, 0))
        ss = ss / rows
        sp = _block_sum(block_sums, 4, blocks, BLOCK) / mass
        sp += _block_sum(block_sums, 5, blocks, BLOCK) / abnormal_rows
        ss += 0.0 * sp  # which is NaN if a row or a prototype is not finite, whatever the row's role
        na += 0.0 * sp
        tl.store(total, ss + lambda_prototype * sp + lambda_abnormal * na)
        tl.store(sample_to_sample, ss)
        tl.store(sample_to_prototype, sp)
        tl.store(normal_to_abnormal, na)
        tl.store(largest_anchor, highest)


@triton.jit
def _load_tile(units, row, rows, FEATURES: tl.constexpr, WIDTH: tl.constexpr):
    """Return rows of the units, [tile, WIDTH], zero outside."""
    feature = tl.arange(0, WIDTH)
    pointer = units + row.to(tl.int64)[:, None] * FEATURES + feature[None, :]
    return tl.load(pointer, mask=(row < rows)[:, None] & (feature < FEATURES)[None, :], other=0.0)


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
    roles,  # [N] integer
    row_state,  # [>= 5, N] float32: alpha, beta, p, r (ONLINE: their log2), c
    row_gradients,  # [N] float32: dL/d(loss of the row), PER_ROW only
    largest_gradient,  # [1] float32: the largest of them, PER_ROW only
    total,
    sample_to_sample,
    normal_to_abnormal,  # [1] each: upstream gradients, without PER_ROW
    largest_anchor,  # [1] float32
    unit_gradients,  # [splits, n, D] float32 out
    sweep_factor,  # [1] float32 out: makes dL/du of their sum
    first_row,
    rows,
    columns,
    tiles,  # column tiles per split
    lambda_abnormal,
    gradient_scale,
    HAS_TOTAL: tl.constexpr,
    HAS_SS: tl.constexpr,
    HAS_NA: tl.constexpr,
    PER_ROW: tl.constexpr,
    CONTRASTS: tl.constexpr,
    ONLINE: tl.constexpr,
    PRECISION: tl.constexpr,
    FEATURES: tl.constexpr,
    WIDTH: tl.constexpr,
    ROWS: tl.constexpr,
    COLUMNS: tl.constexpr,
):
    """Compute sum_j G_ij u_j of ROWS rows over one split of the columns, G_ij = e_ij (f(i, j) + f(j, i)).

    G is divided by its largest possible entry and multiplied by 4096, so that float16 neither overflows nor underflows.
    """
    block, split = tl.program_id(0), tl.program_id(1)
    row = block * ROWS + tl.arange(0, ROWS)
    number = first_row + row
    inside = row < rows
    if PER_ROW:
        highest = tl.load(largest_gradient)
    else:
        ss = upstream_gradient(total, sample_to_sample, 1.0, HAS_TOTAL, HAS_SS) / columns
        na = upstream_gradient(total, normal_to_abnormal, lambda_abnormal, HAS_TOTAL, HAS_NA)
        highest = tl.maximum(tl.abs(ss), tl.abs(na) * tl.load(largest_anchor))
    highest = tl.where(highest == 0.0, 1.0, highest)
    FIT: tl.constexpr = 4096.0
    if not PER_ROW:
        ss, na = ss / highest * FIT, na / highest * FIT
    if (block == 0) & (split == 0):
        tl.store(sweep_factor, highest / FIT * gradient_scale)

    u_row = _load_tile(units, tl.where(inside, number, columns), columns, FEATURES, WIDTH)
    NOTHING: tl.constexpr = float("-inf") if ONLINE else 0.0
    id_row = tl.load(ids + number, mask=inside, other=0).to(tl.int32)
    lowest_id, highest_id = tl.min(id_row, 0), tl.max(id_row, 0)
    alpha_row = tl.load(row_state + number, mask=inside, other=NOTHING)
    if PER_ROW:
        gradient_row = tl.load(row_gradients + number, mask=inside, other=0.0) / highest * FIT
    else:
        gradient_row = tl.full([ROWS], 1.0, tl.float32) * ss
    if not ONLINE:
        alpha_row = alpha_row * gradient_row
    if CONTRASTS:
        role_row = tl.load(roles + number, mask=inside, other=2).to(tl.int32)
        row_contrasts = tl.min(tl.abs(role_row), 0) < 2
    sums = tl.zeros([ROWS, WIDTH], tl.float32)
    first_tile = split * tiles
    last_tile = tl.minimum(first_tile + tiles, tl.cdiv(columns, COLUMNS))
    for tile in range(first_tile, last_tile):
        column_start = tile * COLUMNS
        column = column_start + tl.arange(0, COLUMNS)
        some = column < columns
        u_column = _load_tile(units, column, columns, FEATURES, WIDTH)
        id_column = tl.load(ids + column, mask=some, other=0).to(tl.int32)
        alpha_column = tl.load(row_state + column, mask=some, other=NOTHING)
        if PER_ROW:
            gradient_column = tl.load(row_gradients + column, mask=some, other=0.0) / highest * FIT
        else:
            gradient_column = tl.full([COLUMNS], 1.0, tl.float32) * ss
        x = tl.dot(u_row, tl.trans(u_column), input_precision=PRECISION)  # [ROWS, COLUMNS] float32
        # The product of a row with itself has no share. Nor have columns outside: their units are zero, but e = 1
        # there may be far larger than any similarity of the row, so that g overflows, and infinity times zero is NaN.
        distance = first_row + block * ROWS - column_start
        if ((distance < COLUMNS) & (distance > -ROWS)) | (column_start + COLUMNS > columns):
            x = tl.where((number[:, None] == column[None, :]) | ~some[None, :], float("-inf"), x)
        overlap = (tl.max(id_column, 0) >= lowest_id) & (tl.min(id_column, 0) <= highest_id)
        if ONLINE:
            g = gradient_row[:, None] * tl.exp2(x + alpha_row[:, None])
            g += gradient_column[None, :] * tl.exp2(x + alpha_column[None, :])
        else:
            g = alpha_row[:, None] + (alpha_column * gradient_column)[None, :]
        if overlap:
            # Row facts that only some tiles need are loaded again there: registers are what bounds this kernel.
            same = tl.load(ids + number, mask=inside, other=0).to(tl.int32)[:, None] == id_column[None, :]
            beta_row = tl.load(row_state + columns + number, mask=inside, other=NOTHING)
            beta_column = tl.load(row_state + columns + column, mask=some, other=NOTHING)
            if ONLINE:
                positive = gradient_row[:, None] * tl.exp2(x + beta_row[:, None])
                positive += gradient_column[None, :] * tl.exp2(x + beta_column[None, :])
            else:
                positive = (beta_row * gradient_row)[:, None] + (beta_column * gradient_column)[None, :]
            g -= tl.where(same, positive, 0.0)
        if CONTRASTS:
            role_column = tl.load(roles + column, mask=some, other=2).to(tl.int32)
            if row_contrasts & (tl.min(tl.abs(role_column), 0) < 2):
                abnormal_row = (tl.load(roles + number, mask=inside, other=2).to(tl.int32) == -1).to(tl.float32)
                abnormal_column = (role_column == -1).to(tl.float32)
                p_row = tl.load(row_state + 2 * columns + number, mask=inside, other=NOTHING)
                r_row = tl.load(row_state + 3 * columns + number, mask=inside, other=NOTHING)
                c_row = tl.load(row_state + 4 * columns + number, mask=inside, other=0.0)
                p_column = tl.load(row_state + 2 * columns + column, mask=some, other=NOTHING)
                r_column = tl.load(row_state + 3 * columns + column, mask=some, other=NOTHING)
                c_column = tl.load(row_state + 4 * columns + column, mask=some, other=0.0)
                if ONLINE:  # weights go into the exponent: outside it, 0 could meet an infinity
                    g += na * tl.exp2(x + p_row[:, None] + tl.log2(abnormal_column)[None, :])
                    g += na * tl.exp2(x + p_column[None, :] + tl.log2(abnormal_row)[:, None])
                    g -= na * tl.exp2(x + r_row[:, None] + tl.log2(c_column)[None, :])
                    g -= na * tl.exp2(x + r_column[None, :] + tl.log2(c_row)[:, None])
                else:
                    p_row, r_row, p_column, r_column = p_row * na, r_row * na, p_column * na, r_column * na
                    g += p_row[:, None] * abnormal_column[None, :] + abnormal_row[:, None] * p_column[None, :]
                    g -= r_row[:, None] * c_column[None, :] + c_row[:, None] * r_column[None, :]
        if not ONLINE:
            g *= tl.exp2(x)
        sums = tl.dot(g.to(u_column.dtype), u_column, sums, input_precision=PRECISION)

    feature = tl.arange(0, WIDTH)
    pointer = unit_gradients + (split * rows + row).to(tl.int64)[:, None] * FEATURES + feature[None, :]
    tl.store(pointer, sums, mask=inside[:, None] & (feature < FEATURES)[None, :])
