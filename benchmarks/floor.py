"""The recompute floor: the matrix products that the sweep cannot avoid, on the sweep's own tiles and threads."""

from __future__ import annotations

import torch
from hscl_kernels.contrast.cpu_sweep import Rows, TileBuffer, both_sides, deal_tiles
from hscl_kernels.cpu_threads import run_shares

from benchmarks.batch import Batch
from benchmarks.interleave import Variant


def floor(batch: Batch) -> Variant:
    """Return the products alone: U_I U_J^T forward; the same, G U_J and G^T U_I backward (4 N^2 D FLOPs in all).

    Buffers and gradients are allocated here, so that nothing but products is timed.
    """
    units = torch.nn.functional.normalize(batch.embeddings.detach())
    rows, nothing = len(units), units.new_zeros(len(units))
    numbers = torch.arange(rows)
    side = Rows(units, batch.instance_ids, numbers, torch.zeros_like(numbers), nothing, nothing[:, None], nothing)
    left, right = both_sides(side, side)
    shares = deal_tiles(left, right)
    gradients = units.new_zeros(len(shares), *units.shape)

    def forward() -> None:
        def share(number: int) -> None:
            buffer = TileBuffer("x", left, right)
            for i, j, _ in shares[number]:
                row, column = left.blocks[i], right.blocks[j]
                torch.mm(row.units, column.units.T, out=buffer(row, column))

        run_shares(share, len(shares))

    def backward(_: None) -> None:
        def share(number: int) -> None:
            buffer = TileBuffer("x", left, right)
            parts = gradients[number].split(left.sizes)
            for i, j, mirrored in shares[number]:
                row, column = left.blocks[i], right.blocks[j]
                g = torch.mm(row.units, column.units.T, out=buffer(row, column))
                parts[i].addmm_(g, column.units)
                if mirrored:
                    parts[j].addmm_(g.T, row.units)

        run_shares(share, len(shares))

    return Variant(forward, backward)
