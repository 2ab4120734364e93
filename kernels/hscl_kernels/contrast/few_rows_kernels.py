"""The forward sweep of few rows, whose programs go on to the terms of the rows: one launch instead of two.

A super-tile's rows are complete once all ``supers`` super-tiles along them have been swept. Each program counts itself
in for its rows and for its columns; the one that counts last goes on with them. Of few rows these are few at a time,
and many programs share them. Which program it is changes no sum.
"""

from __future__ import annotations

import triton
import triton.language as tl

from hscl_kernels.contrast.forward_kernels import sweep_super_tile, upper_place
from hscl_kernels.contrast.row_terms_kernels import add_losses, terms_of_rows

# do_not_specialize: Triton would compile a kernel anew for an integer that is 1 and one that 16 divides.
# do_not_specialize_on_alignment: these may be at any address, and gain nothing from being aligned.


@triton.jit(do_not_specialize=["rows", "supers", "tiles", "blocks"], do_not_specialize_on_alignment=["ids", "anchors"])
def sweep_forward_to_losses_kernel(
    units,  # [N, D] scaled units
    ids,  # [N] integer
    shares,  # [N] float32: c up to a factor (with anchors: as is), -1 for an abnormal row; None for row losses alone
    ranges,  # [3, blocks] int32, of every RANGE rows
    partials,  # [4, supers + 1, N] float32, for use between the programs
    lengths,  # [N] float32
    similarity,  # [N] float32: m
    weights,  # [N] float32: w
    anchors,  # [N] float32: a where anchors were drawn, else None
    block_sums,  # [BLOCK_SUMS, blocks] float32
    row_losses,  # [N] float32 out, without shares
    row_state,  # [6, N] float32 out, as that of row_terms_kernel
    loss_parts,  # [3, N / SIDE] float32, for use between the programs
    total,
    sample_to_sample,
    sample_to_prototype,
    normal_to_abnormal,
    largest_anchor,  # [1] each, float32 out, None without shares
    tickets,  # [1 + supers] int32, or more: 0
    rows,
    supers,  # super-tiles along the N rows
    tiles,  # tiles of the longer side along a super-tile
    blocks,
    lambda_prototype,
    lambda_abnormal,
    PRECISION: tl.constexpr,
    FEATURES: tl.constexpr,
    WIDTH: tl.constexpr,
    ROWS: tl.constexpr,
    COLUMNS: tl.constexpr,
    RANGE: tl.constexpr,
):
    """Do what ``sweep_forward_kernel`` and then ``row_terms_kernel`` do, for all rows, at tau >= 0.03."""
    SIDE: tl.constexpr = ROWS if ROWS > COLUMNS else COLUMNS
    super_row, super_column = upper_place(tl.program_id(0), supers)
    sweep_super_tile(
        units,
        ids,
        shares,
        ranges,
        partials,
        super_row,
        super_column,
        0,
        rows,
        rows,
        supers,
        supers + 1,
        tiles,
        True,
        PRECISION,
        FEATURES,
        WIDTH,
        ROWS,
        COLUMNS,
        RANGE,
    )
    row_blocks = tl.cdiv(rows, SIDE)
    different = (super_row != super_column).to(tl.int32)
    for side in range(0, 1 + different):
        group = tl.where(side == 0, super_row, super_column)
        tl.debug_barrier()
        if tl.atomic_add(tickets + 1 + group, 1, sem="acq_rel") == supers - 1:
            for block in range(group * tiles, tl.minimum((group + 1) * tiles, row_blocks)):
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
                    block,
                    row_blocks,
                    rows,
                    supers + 1,
                    blocks,
                    False,
                    SIDE,
                )
            if shares is not None:
                tl.debug_barrier()
                if tl.atomic_add(tickets, 1, sem="acq_rel") == supers - 1:
                    add_losses(
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
                        SIDE,
                    )
