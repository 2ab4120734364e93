"""The sweep over exp(s / tau) in Triton: triangular forward, row-owned backward, the N x N matrix never in memory.

Units carry sqrt(log2(e) / tau), so that exp(s_ij / tau) = 2**<u_i, u_j>, one MUFU instruction on an accumulator of the
tensor cores; with s in [-1, 1] no maximum is needed down to tau = 0.03 (``ONLINE`` keeps log2 sums below that).
Work that a tile does not need is skipped by branches all its threads agree on: the comparison of ids where ids cannot
be equal, the normal-to-abnormal sums where no row takes part in them, masks away from the diagonal and the edge.

No floating-point atomics: row and column sums go to buffers that the next launch adds in a fixed order. The one atomic
is an integer ticket by which the last program to finish knows that it is; which one that is changes no sum.
"""

from __future__ import annotations

import triton
import triton.language as tl

from hscl_kernels.prototypes.triton_kernels import upstream_gradient

LN2 = tl.constexpr(0.6931471805599453)

# do_not_specialize: Triton would compile a kernel anew for an integer that is 1 and one that 16 divides, and some of
# these forms spill. do_not_specialize_on_alignment: these may be at any address, and gain nothing from being aligned.


@triton.jit
def _reduce(values, axis: tl.constexpr, ONLINE: tl.constexpr):
    """Return the sum of a tile along an axis; ONLINE: log2 of the sum of 2**values, -inf where all are."""
    if ONLINE:
        highest = tl.max(values, axis)
        highest = tl.where(highest == float("-inf"), 0.0, highest)
        shifted = values - (highest[:, None] if axis == 1 else highest[None, :])
        return highest + tl.log2(tl.sum(tl.exp2(shifted), axis))
    else:
        return tl.sum(values, axis)


@triton.jit
def _merge(first, second, ONLINE: tl.constexpr):
    """Return first + second; ONLINE: log2(2**first + 2**second), -inf where both are."""
    if ONLINE:
        highest = tl.maximum(first, second)
        highest = tl.where(highest == float("-inf"), 0.0, highest)
        return highest + tl.log2(tl.exp2(first - highest) + tl.exp2(second - highest))
    else:
        return first + second


@triton.jit
def _weigh(values, weights, ONLINE: tl.constexpr):
    """Return values times weights; ONLINE: values plus the log2 of the weights."""
    return values + tl.log2(weights) if ONLINE else values * weights


@triton.jit
def _load_tile(units, row, rows, FEATURES: tl.constexpr, WIDTH: tl.constexpr):
    """Return rows of the units, [tile, WIDTH], zero outside."""
    feature = tl.arange(0, WIDTH)
    pointer = units + row.to(tl.int64)[:, None] * FEATURES + feature[None, :]
    return tl.load(pointer, mask=(row < rows)[:, None] & (feature < FEATURES)[None, :], other=0.0)


@triton.jit
def _add_to(pointer, mask, values, ONLINE: tl.constexpr):
    """Add values to those that this program has already written."""
    EMPTY: tl.constexpr = float("-inf") if ONLINE else 0.0
    known = tl.load(pointer, mask=mask, other=EMPTY)
    tl.store(pointer, _merge(known, values, ONLINE), mask=mask)


@triton.jit(
    do_not_specialize=["first_row", "rows", "columns", "supers", "slots", "tiles"],
    do_not_specialize_on_alignment=["ids", "roles", "positives"],
)
def sweep_forward_kernel(
    units,  # [N, D] scaled units
    ids,  # [N] integer
    roles,  # [N] integer
    positives,  # [N] float32: c
    partials,  # [4, slots, n] float32 out: sums (ONLINE: log2 sums) over all, positives, c, abnormal
    first_row,  # the n rows that are wanted begin here
    rows,  # n
    columns,  # N
    supers,  # column super-tiles
    slots,  # supers, TRIANGULAR: supers + 1
    tiles,  # row tiles per side of a super-tile
    TRIANGULAR: tl.constexpr,  # n = N: only tiles on and above the diagonal, each for both of its sides
    CONTRASTS: tl.constexpr,
    ONLINE: tl.constexpr,
    PRECISION: tl.constexpr,
    FEATURES: tl.constexpr,
    WIDTH: tl.constexpr,
    ROWS: tl.constexpr,
    COLUMNS: tl.constexpr,  # divides ROWS
):
    """Compute partial row sums (TRIANGULAR: also column sums) of one super-tile of e_ij = exp(s_ij / tau)."""
    program = tl.program_id(0)
    if TRIANGULAR:
        # Rows r and supers - 1 - r of the triangle together have supers + 1 super-tiles.
        pair, place = program // (supers + 1), program % (supers + 1)
        upper = place < supers - pair
        super_row = tl.where(upper, pair, supers - 1 - pair)
        super_column = tl.where(upper, pair + place, place - 1)
    else:
        super_row, super_column = program // supers, program % supers
    EMPTY: tl.constexpr = float("-inf") if ONLINE else 0.0
    ACROSS: tl.constexpr = ROWS // COLUMNS
    row_tiles = tl.minimum(tiles, tl.cdiv(rows - super_row * tiles * ROWS, ROWS))
    column_tiles = tl.minimum(tiles * ACROSS, tl.cdiv(columns - super_column * tiles * ROWS, COLUMNS))
    quantity = tl.cast(slots, tl.int64) * rows  # from one of the four sums to the next
    across = super_column * tiles * ROWS + tl.arange(0, COLUMNS)

    # `TRIANGULAR and ...` of a tensor would be a tensor, whose branch is compiled in either form.
    if TRIANGULAR:
        diagonal = super_row == super_column
        # This program alone writes the column sums of its super-tile; those of the diagonal have a slot of their own.
        column_slot = partials + tl.where(diagonal, supers, super_row).to(tl.int64) * rows
        for step in range(column_tiles):
            column = across + step * COLUMNS
            nothing = tl.full([COLUMNS], EMPTY, tl.float32)
            tl.store(column_slot + column, nothing, mask=column < columns)
            tl.store(column_slot + quantity + column, nothing, mask=column < columns)
            if CONTRASTS:
                tl.store(column_slot + 2 * quantity + column, nothing, mask=column < columns)
                tl.store(column_slot + 3 * quantity + column, nothing, mask=column < columns)
        tl.debug_barrier()

    for row_step in range(row_tiles):
        row_start = (super_row * tiles + row_step) * ROWS
        row = row_start + tl.arange(0, ROWS)  # among the n wanted
        number = first_row + row  # among all N
        inside = row < rows
        u_row = _load_tile(units, tl.where(inside, number, columns), columns, FEATURES, WIDTH)
        # Row facts that only rare tiles need are loaded again there: registers are what bounds this kernel.
        id_row = tl.load(ids + number, mask=inside, other=0).to(tl.int32)
        lowest_id, highest_id = tl.min(id_row, 0), tl.max(id_row, 0)
        row_all = tl.full([ROWS], EMPTY, tl.float32)
        row_same = tl.full([ROWS], EMPTY, tl.float32)
        if CONTRASTS:
            role_row = tl.load(roles + number, mask=inside, other=2).to(tl.int32)
            row_contrasts = tl.min(tl.abs(role_row), 0) < 2
            row_normal = tl.full([ROWS], EMPTY, tl.float32)
            row_abnormal = tl.full([ROWS], EMPTY, tl.float32)

        first_step = 0
        if TRIANGULAR:
            # On the diagonal, the tiles of the rows' own block come first: they hold both sides, those after them one.
            first_step = tl.where(diagonal, row_step * ACROSS, 0)
        for column_step in range(first_step, column_tiles):
            column_start = super_column * tiles * ROWS + column_step * COLUMNS
            column = across + column_step * COLUMNS
            u_column = _load_tile(units, column, columns, FEATURES, WIDTH)
            id_column = tl.load(ids + column, mask=column < columns, other=0).to(tl.int32)
            values = tl.dot(u_row, tl.trans(u_column), input_precision=PRECISION)  # [ROWS, COLUMNS] float32
            distance = first_row + row_start - column_start
            at_diagonal = (distance < COLUMNS) & (distance > -ROWS)
            at_edge = (row_start + ROWS > rows) | (column_start + COLUMNS > columns)
            if at_diagonal | at_edge:
                other = (number[:, None] != column[None, :]) & inside[:, None] & (column < columns)[None, :]
                values = tl.where(other, values, float("-inf"))
            if not ONLINE:
                values = tl.exp2(values)
            some = column < columns
            row_all = _merge(row_all, _reduce(values, 1, ONLINE), ONLINE)
            if TRIANGULAR:
                if column_start >= row_start + ROWS:
                    _add_to(column_slot + column, some, _reduce(values, 0, ONLINE), ONLINE)
            if (tl.max(id_column, 0) >= lowest_id) & (tl.min(id_column, 0) <= highest_id):
                id_again = tl.load(ids + number, mask=inside, other=0).to(tl.int32)
                same = tl.where(id_again[:, None] == id_column[None, :], values, EMPTY)
                row_same = _merge(row_same, _reduce(same, 1, ONLINE), ONLINE)
                if TRIANGULAR:
                    if column_start >= row_start + ROWS:
                        _add_to(column_slot + quantity + column, some, _reduce(same, 0, ONLINE), ONLINE)
            if CONTRASTS:
                role_column = tl.load(roles + column, mask=some, other=2).to(tl.int32)
                if row_contrasts & (tl.min(tl.abs(role_column), 0) < 2):
                    c_column = tl.load(positives + column, mask=some, other=0.0)
                    weighed = _weigh(values, c_column[None, :], ONLINE)
                    row_normal = _merge(row_normal, _reduce(weighed, 1, ONLINE), ONLINE)
                    weighed = _weigh(values, (role_column == -1).to(tl.float32)[None, :], ONLINE)
                    row_abnormal = _merge(row_abnormal, _reduce(weighed, 1, ONLINE), ONLINE)
                    if TRIANGULAR:
                        if column_start >= row_start + ROWS:
                            c_row = tl.load(positives + number, mask=inside, other=0.0)
                            weighed = _weigh(values, c_row[:, None], ONLINE)
                            _add_to(column_slot + 2 * quantity + column, some, _reduce(weighed, 0, ONLINE), ONLINE)
                            role_again = tl.load(roles + number, mask=inside, other=2).to(tl.int32)
                            weighed = _weigh(values, (role_again == -1).to(tl.float32)[:, None], ONLINE)
                            _add_to(column_slot + 3 * quantity + column, some, _reduce(weighed, 0, ONLINE), ONLINE)

        row_slot = partials + tl.cast(super_column, tl.int64) * rows + row
        tl.store(row_slot, row_all, mask=inside)
        tl.store(row_slot + quantity, row_same, mask=inside)
        if CONTRASTS:
            tl.store(row_slot + 2 * quantity, row_normal, mask=inside)
            tl.store(row_slot + 3 * quantity, row_abnormal, mask=inside)
        if TRIANGULAR:
            tl.debug_barrier()  # the next row of tiles reads column sums that other threads have written


@triton.jit
def _total(partials, row, inside, rows, slots, ONLINE: tl.constexpr, BLOCK: tl.constexpr):
    """Return log2 of the sum of one quantity over all slots, [BLOCK]."""
    EMPTY: tl.constexpr = float("-inf") if ONLINE else 0.0
    total = tl.full([BLOCK], EMPTY, tl.float32)
    for slot in range(slots):
        part = tl.load(partials + tl.cast(slot, tl.int64) * rows + row, mask=inside, other=EMPTY)
        total = _merge(total, part, ONLINE)
    if ONLINE:
        return total
    else:
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
    do_not_specialize_on_alignment=["roles", "positives", "anchors"],
)
def row_terms_kernel(
    partials,  # [4, slots, N] float32
    roles,  # [N] integer
    similarity,  # [N] float32: m (without CONTRASTS the lengths)
    weights,  # [N] float32: w
    positives,  # [N] float32: c up to a factor (SAMPLED: as is)
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
    c = tl.load(positives + row, mask=inside, other=0.0)
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
