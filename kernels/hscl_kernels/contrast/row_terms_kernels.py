"""From the sums of the forward sweep to each row's losses and gradient coefficients, and to the losses of the batch.

The one atomic is an integer ticket by which the last program to finish knows that it is; which one that is changes no
sum.
"""

from __future__ import annotations

import triton
import triton.language as tl

LN2 = tl.constexpr(0.6931471805599453)

# do_not_specialize: Triton would compile a kernel anew for an integer that is 1 and one that 16 divides, and some of
# these forms spill. do_not_specialize_on_alignment: these may be at any address, and gain nothing from being aligned.


SLOTS = tl.constexpr(16)  # whose sums are loaded at once: one after the other, each would wait for memory


@triton.jit
def _load_slots(partials, quantity, first, row, inside, rows, slots, ONLINE: tl.constexpr):
    """Return one quantity of SLOTS slots, [SLOTS, BLOCK]. Other multiprocessors may just have written it."""
    NOTHING: tl.constexpr = float("-inf") if ONLINE else 0.0
    slot = first + tl.arange(0, SLOTS)
    pointer = partials + (tl.cast(quantity, tl.int64) * slots + slot)[:, None] * rows + row[None, :]
    some = (slot < slots)[:, None] & inside[None, :]
    return tl.load(pointer, mask=some, other=NOTHING, cache_modifier=".cg")


@triton.jit
def _add_slots(total, parts, ONLINE: tl.constexpr):
    """Return the total and the sum over slots in a fixed order; ONLINE: log2 of it."""
    if ONLINE:
        highest = tl.maximum(total, tl.max(parts, 0))
        highest = tl.where(highest == float("-inf"), 0.0, highest)
        return highest + tl.log2(tl.exp2(total - highest) + tl.sum(tl.exp2(parts - highest[None, :]), 0))
    else:
        return total + tl.sum(parts, 0)


@triton.jit
def _log_sums(partials, quantity, row, inside, rows, slots, ONLINE: tl.constexpr, BLOCK: tl.constexpr):
    """Return log2 of the sums over all slots of one quantity and of the next, [BLOCK] each."""
    NOTHING: tl.constexpr = float("-inf") if ONLINE else 0.0
    one = tl.full([BLOCK], NOTHING, tl.float32)
    other = tl.full([BLOCK], NOTHING, tl.float32)
    for first in range(0, slots, SLOTS):
        parts = _load_slots(partials, quantity, first, row, inside, rows, slots, ONLINE)
        others = _load_slots(partials, quantity + 1, first, row, inside, rows, slots, ONLINE)
        one, other = _add_slots(one, parts, ONLINE), _add_slots(other, others, ONLINE)
    if ONLINE:
        return one, other
    else:
        return tl.log2(one), tl.log2(other)


@triton.jit(do_not_specialize=["rows", "slots"])
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
    quantity = 2 * tl.program_id(1)
    one, other = _log_sums(partials, quantity, row, inside, rows, slots, ONLINE, BLOCK)
    pointer = log_sums + tl.cast(quantity, tl.int64) * rows + row
    tl.store(pointer, one * LN2, mask=inside)
    tl.store(pointer + rows, other * LN2, mask=inside)


@triton.jit
def _block_sum(block_sums, quantity, blocks, BLOCK: tl.constexpr):
    """Return the sum of one quantity over the blocks of unit_rows_kernel, added in a fixed order."""
    total = 0.0
    for first in range(0, blocks, BLOCK):
        block = first + tl.arange(0, BLOCK)
        total += tl.sum(tl.load(block_sums + quantity * blocks + block, mask=block < blocks, other=0.0), 0)
    return total


@triton.jit
def _mass(block_sums, blocks, BLOCK: tl.constexpr):
    """Return the sum of the weights, 1 where it is 0."""
    mass = _block_sum(block_sums, 0, blocks, BLOCK)
    return tl.where(mass > 0, mass, tl.where(mass == 0, 1.0, mass))  # NaN stays


@triton.jit
def terms_of_rows(
    partials,
    shares,
    lengths,
    similarity,
    weights,
    anchors,
    block_sums,
    row_losses,
    row_state,
    loss_parts,
    block,
    row_blocks,
    rows,
    slots,
    blocks,
    ONLINE: tl.constexpr,
    BLOCK: tl.constexpr,
):
    """Compute losses and gradient coefficients of BLOCK rows, and what they add to the losses (Eq. 1, 4, 6, 8).

    As ``row_terms_kernel``, whose pointers these are; ``block`` of ``row_blocks`` is these rows.
    """
    row = block * BLOCK + tl.arange(0, BLOCK)
    inside = row < rows
    NOTHING: tl.constexpr = float("-inf") if ONLINE else 0.0

    log_all, log_same = _log_sums(partials, 0, row, inside, rows, slots, ONLINE, BLOCK)
    has_positive = inside & ((log_same != float("-inf")) | (log_all != log_all))  # NaN stays
    log_all = tl.where(has_positive, log_all, 0.0)
    log_same = tl.where(has_positive, log_same, 0.0)
    loss = (log_all - log_same) * LN2
    alpha = -log_all if ONLINE else tl.exp2(-log_all)
    beta = -log_same if ONLINE else tl.exp2(-log_same)
    tl.store(row_state + row, tl.where(has_positive, alpha, NOTHING), mask=inside)
    tl.store(row_state + rows + row, tl.where(has_positive, beta, NOTHING), mask=inside)
    # Not an early return: Triton compiles what comes after one, whose pointers are None.
    if shares is None:
        length = tl.load(lengths + row, mask=inside, other=0.0)
        tl.store(row_losses + row, loss + 0.0 * length, mask=inside)  # a single row's NaN shows in no other row
    else:
        mass = _mass(block_sums, blocks, BLOCK)
        kept = _block_sum(block_sums, 1, blocks, BLOCK)
        eligible = _block_sum(block_sums, 2, blocks, BLOCK)
        abnormal_rows = tl.maximum(_block_sum(block_sums, 3, blocks, BLOCK), 1.0)
        share = tl.load(shares + row, mask=inside, other=0.0)
        c = tl.maximum(share, 0.0)
        if anchors is not None:
            anchor = tl.load(anchors + row, mask=inside, other=0.0)
            factor = 1.0
        else:
            kept = tl.where(kept > 0, kept, 1.0)
            anchor = c / kept
            factor = eligible / kept
        log_factor = tl.log2(tl.where(eligible > 0, factor, 1.0))
        log_normal, log_abnormal = _log_sums(partials, 2, row, inside, rows, slots, ONLINE, BLOCK)
        log_normal += log_factor
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
        m = tl.load(similarity + row, mask=inside, other=0.0)
        slope = -2.0 * w * w * (1.0 - m) / mass + tl.where(share < 0.0, 2.0 * tl.maximum(m, 0.0) / abnormal_rows, 0.0)
        tl.store(row_state + 5 * rows + row, slope, mask=inside)

        tl.store(loss_parts + block, tl.sum(tl.where(inside, loss, 0.0), 0))
        tl.store(loss_parts + row_blocks + block, tl.sum(contrast, 0))
        tl.store(loss_parts + 2 * row_blocks + block, tl.max(anchor, 0))


@triton.jit
def add_losses(
    loss_parts,
    block_sums,
    total,
    sample_to_sample,
    sample_to_prototype,
    normal_to_abnormal,
    largest_anchor,
    row_blocks,
    rows,
    blocks,
    lambda_prototype,
    lambda_abnormal,
    BLOCK: tl.constexpr,
):
    """Add up what ``terms_of_rows`` has left in ``loss_parts``: the losses of the batch."""
    # Inductor passes numbers as float64, in which all that follows would be computed.
    lambda_prototype, lambda_abnormal = tl.cast(lambda_prototype, tl.float32), tl.cast(lambda_abnormal, tl.float32)
    mass = _mass(block_sums, blocks, BLOCK)
    abnormal_rows = tl.maximum(_block_sum(block_sums, 3, blocks, BLOCK), 1.0)
    ss, na, highest = 0.0, 0.0, 0.0
    for first in range(0, row_blocks, BLOCK):
        part = first + tl.arange(0, BLOCK)
        some = part < row_blocks
        ss += tl.sum(tl.load(loss_parts + part, mask=some, other=0.0, cache_modifier=".cg"), 0)
        na += tl.sum(tl.load(loss_parts + row_blocks + part, mask=some, other=0.0, cache_modifier=".cg"), 0)
        peak = tl.load(loss_parts + 2 * row_blocks + part, mask=some, other=0.0, cache_modifier=".cg")
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


@triton.jit(do_not_specialize=["rows", "slots", "blocks"], do_not_specialize_on_alignment=["anchors"])
def row_terms_kernel(
    partials,  # [4, slots, N] float32
    shares,  # [N] float32: c up to a factor (with anchors: as is), -1 for an abnormal row; None for row losses alone
    lengths,  # [N] float32
    similarity,  # [N] float32: m
    weights,  # [N] float32: w
    anchors,  # [N] float32: a where anchors were drawn, else None
    block_sums,  # [BLOCK_SUMS, blocks] float32
    row_losses,  # [N] float32 out, without shares
    row_state,  # [6, N] float32 out: alpha, beta, p, r (ONLINE: their log2), the c that r is for, dL_SP/dm
    loss_parts,  # [3, programs] float32 out: sums of both losses, largest anchor
    total,
    sample_to_sample,
    sample_to_prototype,
    normal_to_abnormal,
    largest_anchor,  # [1] each, float32 out, None without shares
    tickets,  # int32: the first is 0
    rows,
    slots,
    blocks,
    lambda_prototype,
    lambda_abnormal,
    ONLINE: tl.constexpr,
    BLOCK: tl.constexpr,
):
    """Compute rows' losses and gradient coefficients; the program that ends last adds the losses."""
    program, programs = tl.program_id(0), tl.num_programs(0)
    terms_of_rows(
        partials,
        shares,
        lengths,
        similarity,
        weights,
        anchors,
        block_sums,
        row_losses,
        row_state,
        loss_parts,
        program,
        programs,
        rows,
        slots,
        blocks,
        ONLINE,
        BLOCK,
    )
    if shares is not None:
        tl.debug_barrier()
        if tl.atomic_add(tickets, 1, sem="acq_rel") == programs - 1:
            add_losses(
                loss_parts,
                block_sums,
                total,
                sample_to_sample,
                sample_to_prototype,
                normal_to_abnormal,
                largest_anchor,
                programs,
                rows,
                blocks,
                lambda_prototype,
                lambda_abnormal,
                BLOCK,
            )
