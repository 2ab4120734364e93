"""The row kernels in Triton: normalisation, nearest prototype and weights before the sweep, gradients after it.

The sweep itself is in hscl_kernels.contrast. No floating-point atomics:
sums across programs go through buffers that the next launch adds in a fixed order, so every run gives the same bits.
"""

from __future__ import annotations

import triton
import triton.language as tl

BLOCK_SUMS = 6  # sum of w, of kept weights, number kept, number abnormal, sums of the two parts of L_SP

LONG = tl.constexpr(2.0**48)  # the squares of longer rows could overflow
SHORTENED = tl.constexpr(2.0**-80)
LARGEST = tl.constexpr(3.4028234663852886e38)

# do_not_specialize: Triton would compile a kernel anew for an integer that is 1 and one that 16 divides, and some of
# these forms spill. do_not_specialize_on_alignment: these may be at any address, and gain nothing from being aligned.


@triton.jit
def unit_and_length(z, axis: tl.constexpr):
    """Return u = z / max(||z||, 1e-12) and that length, both NaN where z has a NaN or an infinity."""
    factor = tl.where(tl.sqrt(tl.sum(z * z, axis)) > LONG, SHORTENED, 1.0)
    z = z * (factor[:, None] if axis == 1 else factor)
    length = tl.sqrt(tl.sum(z * z, axis))
    # Not tl.maximum, which drops a NaN.
    length = tl.where(length < 1e-12, 1e-12, tl.where(length == float("inf"), float("nan"), length))
    u = z / (length[:, None] if axis == 1 else length)
    length = length / factor
    return u, tl.where(length > LARGEST, LARGEST, length)


@triton.jit
def store_ranges(ranges, block, blocks, ids, roles, row, inside):
    """Store the lowest id of a block of rows, the highest, and whether any takes part in the normal-to-abnormal term.

    By these the sweep knows which tiles can have positives, and which a part in that term.
    """
    id = tl.load(ids + row, mask=inside, other=0).to(tl.int32)
    tl.store(ranges + block, tl.min(tl.where(inside, id, 2147483647), 0))
    tl.store(ranges + blocks + block, tl.max(tl.where(inside, id, -2147483648), 0))
    if roles is not None:
        role = tl.load(roles + row, mask=inside, other=2).to(tl.int32)
        tl.store(ranges + 2 * blocks + block, tl.max((role != 2).to(tl.int32), 0))


@triton.jit(
    do_not_specialize=["rows", "prototype_count"],
    do_not_specialize_on_alignment=["ids", "prototypes", "roles"],
)
def unit_rows_kernel(
    embeddings,  # [N, D] any float, strided
    ids,  # [N] integer, or None
    prototypes,  # [K, D] any float, contiguous, or None
    roles,  # [N] integer, or None
    units,  # [N, D] out: u times scale, in the embeddings' dtype
    lengths,  # [N] float32 out: max(||z||, 1e-12), NaN for a row that is not finite
    similarity,  # [N] float32 out: m
    index,  # [N] int64 out: arg-max
    weights,  # [N] float32 out: w
    shares,  # [N] float32 out: w where w > w_delta, else 0; -1 for an abnormal row
    block_sums,  # [BLOCK_SUMS, programs] float32 out
    ranges,  # [3, programs] int32 out
    tickets,  # [1 + N] int32 out: 0, for the programs of later launches to count themselves
    rows,
    prototype_count,
    row_stride,
    feature_stride,
    scale,
    weight_threshold,
    TRUSTED: tl.constexpr,  # whether prototypes are trained, so that m says how normal an unlabelled row is
    FEATURES: tl.constexpr,
    WIDTH: tl.constexpr,  # FEATURES rounded up to a power of two
    BLOCK: tl.constexpr,
):
    """Compute u = z / max(||z||, 1e-12), m = max_k <u, v_k> (Eq. 9), w (Eq. 3, 5) and the block's part of L_SP."""
    # Inductor passes numbers as float64, in which all that follows would be computed.
    scale, weight_threshold = tl.cast(scale, tl.float32), tl.cast(weight_threshold, tl.float32)
    block = tl.program_id(0)
    row = block * BLOCK + tl.arange(0, BLOCK)
    feature = tl.arange(0, WIDTH)
    inside = row < rows
    present = inside[:, None] & (feature < FEATURES)[None, :]
    offset = row.to(tl.int64)
    z = tl.load(
        embeddings + offset[:, None] * row_stride + feature[None, :] * feature_stride, mask=present, other=0.0
    ).to(tl.float32)
    u, length = unit_and_length(z, 1)
    if ids is not None:
        id = tl.load(ids + offset, mask=inside, other=0)
        # The sweep reads 32 bits. Ids that do not fit must show, not be mistaken for others.
        u = tl.where((id == id.to(tl.int32))[:, None], u, float("nan"))
        store_ranges(ranges, block, tl.num_programs(0), ids, roles, row, inside)
        tl.store(tickets + 1 + offset, tl.zeros([BLOCK], tl.int32), mask=inside)
        if block == 0:
            tl.store(tickets, 0)
    tl.store(
        units + offset[:, None] * FEATURES + feature[None, :], (u * scale).to(units.dtype.element_ty), mask=present
    )
    tl.store(lengths + offset, length, mask=inside)
    # Not an early return: Triton compiles what comes after one, whose pointers are None.
    if prototypes is not None:
        highest = tl.full([BLOCK], float("-inf"), tl.float32)
        nearest = tl.zeros([BLOCK], tl.int64)
        for k in range(prototype_count):
            v = tl.load(prototypes + k * FEATURES + feature, mask=feature < FEATURES, other=0.0).to(tl.float32)
            v, _ = unit_and_length(v, 0)
            cosine = tl.sum(u * v[None, :], 1)
            # Strictly, so that a tie stays with the lowest k; NaN counts as the highest.
            higher = (cosine > highest) | ((cosine != cosine) & (highest == highest))
            highest = tl.where(higher, cosine, highest)
            nearest = tl.where(higher, k, nearest)
        tl.store(similarity + offset, highest, mask=inside)
        tl.store(index + offset, nearest, mask=inside)
        if roles is not None:
            role = tl.load(roles + offset, mask=inside, other=2).to(tl.int32)
            soft = (highest + 1.0) * 0.5
            soft = tl.where(soft < 0.0, 0.0, tl.where(soft > 1.0, 1.0, soft))
            if not TRUSTED:
                soft = tl.full([BLOCK], 1.0, tl.float32)
            weight = tl.where(role == 1, 1.0, tl.where(role == 0, soft, 0.0))
            weight = tl.where((role < -1) | (role > 2), float("nan"), weight)  # an invalid role must show
            eligible = weight > weight_threshold
            chosen = tl.where(eligible, weight, 0.0)
            abnormal = role == -1
            tl.store(weights + offset, weight, mask=inside)
            tl.store(shares + offset, tl.where(abnormal, -1.0, chosen), mask=inside)
            pulled = weight * (1.0 - highest)
            pushed = tl.where(abnormal, tl.maximum(highest, 0.0), 0.0)
            programs = tl.num_programs(0)
            tl.store(block_sums + block, tl.sum(weight, 0))
            tl.store(block_sums + programs + block, tl.sum(chosen, 0))
            tl.store(block_sums + 2 * programs + block, tl.sum(eligible.to(tl.float32), 0))
            tl.store(block_sums + 3 * programs + block, tl.sum(abnormal.to(tl.float32), 0))
            tl.store(block_sums + 4 * programs + block, tl.sum(pulled * pulled, 0))
            tl.store(block_sums + 5 * programs + block, tl.sum(pushed * pushed, 0))


@triton.jit
def upstream_gradient(total, term, share):
    """Return dL/d(term): its own gradient plus its ``share`` of the total's; None is 0."""
    gradient = 0.0
    if total is not None:
        gradient += tl.load(total).to(tl.float32) * share
    if term is not None:
        gradient += tl.load(term).to(tl.float32)
    return gradient


@triton.jit
def add_prototype_gradients(
    slope,  # [BLOCK] float32: dL/dm
    nearest,  # [BLOCK] int64
    u,  # [BLOCK, WIDTH] float32
    prototypes,  # [K, D]
    prototype_count,
    part,  # [K, D] float32 out: sum of slope times u over this program's rows
    step,
    FEATURES: tl.constexpr,
    WIDTH: tl.constexpr,
    PROTOTYPE_BLOCK: tl.constexpr,
):
    """Return what dL/dm adds to dL/du, and add what it adds to the prototypes' gradients to this program's part."""
    feature = tl.arange(0, WIDTH)
    wide = (feature < FEATURES)[None, :]
    v = tl.load(prototypes + nearest[:, None] * FEATURES + feature[None, :], mask=wide, other=0.0).to(tl.float32)
    v, _ = unit_and_length(v, 1)
    for first in range(0, prototype_count, PROTOTYPE_BLOCK):
        k = first + tl.arange(0, PROTOTYPE_BLOCK)
        shares = tl.where(nearest[None, :] == k[:, None], slope[None, :], 0.0)
        sums = tl.dot(shares, u, input_precision="ieee")
        pointer = part + k[:, None] * FEATURES + feature[None, :]
        some = (k < prototype_count)[:, None] & wide
        if step > 0:
            sums += tl.load(pointer, mask=some, other=0.0)
        tl.store(pointer, sums, mask=some)
    tl.debug_barrier()  # the next step reads what other threads of this program have written
    return slope[:, None] * v


@triton.jit
def store_input_gradients(by_unit, u, length, gradients, place, present, SATURATE: tl.constexpr):
    """Store dL/dz = (I - u u^T) (dL/du) / ||z|| of a block of rows."""
    along = tl.where(length > 1e-12, tl.sum(by_unit * u, 1), 0.0)
    by_row = (by_unit - along[:, None] * u) / length[:, None]
    if SATURATE > 0:  # 1e12 times dL/du, the gradient of a zero row, would be an inf, and 0 times that NaN
        bounded = tl.where(by_row > SATURATE, SATURATE, tl.where(by_row < -SATURATE, -SATURATE, by_row))
        by_row = tl.where((length > 1e-12)[:, None], by_row, bounded)
    tl.store(gradients + place, by_row.to(gradients.dtype.element_ty), mask=present)


@triton.jit(
    do_not_specialize=["rows", "prototype_count", "blocks_per_program"],
    do_not_specialize_on_alignment=["slopes", "prototypes"],
)
def similarity_gradients_kernel(
    slopes,  # [N] float32: dL/dm
    index,  # [N] int64
    units,  # [N, D]
    lengths,  # [N] float32
    prototypes,  # [K, D]
    embedding_gradients,  # [N, D] out
    prototype_parts,  # [programs, K, D] float32 out: sum of slope times u over this program's rows
    rows,
    prototype_count,
    blocks_per_program,
    SATURATE: tl.constexpr,  # the largest float16 where that is the gradient's dtype, else 0
    FEATURES: tl.constexpr,
    WIDTH: tl.constexpr,
    BLOCK: tl.constexpr,
    PROTOTYPE_BLOCK: tl.constexpr,
):
    """Compute dL/dz from dL/dm, and parts of dL/dV."""
    program = tl.program_id(0)
    feature = tl.arange(0, WIDTH)
    for step in range(blocks_per_program):
        row = ((program * blocks_per_program + step) * BLOCK + tl.arange(0, BLOCK)).to(tl.int64)
        inside = row < rows
        present = inside[:, None] & (feature < FEATURES)[None, :]
        place = row[:, None] * FEATURES + feature[None, :]
        u = tl.load(units + place, mask=present, other=0.0).to(tl.float32)
        slope = tl.load(slopes + row, mask=inside, other=0.0)
        nearest = tl.load(index + row, mask=inside, other=0)
        part = prototype_parts + tl.cast(program, tl.int64) * prototype_count * FEATURES
        by_unit = add_prototype_gradients(
            slope, nearest, u, prototypes, prototype_count, part, step, FEATURES, WIDTH, PROTOTYPE_BLOCK
        )
        length = tl.load(lengths + row, mask=inside, other=1.0)
        store_input_gradients(by_unit, u, length, embedding_gradients, place, present, SATURATE)


@triton.jit
def store_prototype_gradient(
    k,
    parts,  # [programs, K, D] float32
    prototypes,  # [K, D]
    gradients,  # [K, D] out
    programs,
    prototype_count,
    FEATURES: tl.constexpr,
    WIDTH: tl.constexpr,
    BLOCK: tl.constexpr,
):
    """Store dL/dV_k = (I - v v^T) (sum of the parts) / ||V_k||. Other multiprocessors may just have written them."""
    feature = tl.arange(0, WIDTH)
    wide = feature < FEATURES
    by_unit = tl.zeros([WIDTH], tl.float32)
    for first in range(0, programs, BLOCK):
        program = first + tl.arange(0, BLOCK)
        pointer = parts + (program * prototype_count + k).to(tl.int64)[:, None] * FEATURES + feature[None, :]
        some = (program < programs)[:, None] & wide[None, :]
        by_unit += tl.sum(tl.load(pointer, mask=some, other=0.0, cache_modifier=".cg"), 0)
    raw = tl.load(prototypes + k * FEATURES + feature, mask=wide, other=0.0).to(tl.float32)
    v, length = unit_and_length(raw, 0)
    along = tl.where(length > 1e-12, tl.sum(by_unit * v, 0), 0.0)
    by_row = (by_unit - along * v) / length
    tl.store(gradients + k * FEATURES + feature, by_row.to(gradients.dtype.element_ty), mask=wide)


@triton.jit(
    do_not_specialize=["programs", "prototype_count"],
    do_not_specialize_on_alignment=["prototypes"],
)
def prototype_gradients_kernel(
    parts,  # [programs, K, D] float32
    prototypes,  # [K, D]
    gradients,  # [K, D] out
    programs,
    prototype_count,
    FEATURES: tl.constexpr,
    WIDTH: tl.constexpr,
    BLOCK: tl.constexpr,
):
    """Compute the prototypes' gradients, one program per prototype."""
    store_prototype_gradient(
        tl.program_id(0), parts, prototypes, gradients, programs, prototype_count, FEATURES, WIDTH, BLOCK
    )
