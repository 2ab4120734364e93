"""Launches of the row kernels: units, similarity and weights before the sweep, gradients of the inputs after it."""

from __future__ import annotations

from typing import NamedTuple

import torch
import triton
from torch import Tensor

from hscl_kernels import launch
from hscl_kernels.prototypes import triton_kernels as kernels


class RowQuantities(NamedTuple):
    """The outputs of ``unit_rows_kernel``. Outputs that were not requested are empty."""

    units: Tensor
    lengths: Tensor
    similarity: Tensor
    nearest: Tensor
    weights: Tensor
    shares: Tensor
    block_sums: Tensor
    ranges: Tensor
    tickets: Tensor


def row_quantities(
    embeddings: Tensor,
    prototypes: Tensor | None,
    roles: Tensor | None,
    *,
    instance_ids: Tensor | None = None,
    scale: float,
    trusted: bool = True,
    weight_threshold: float = 0.0,
) -> RowQuantities:
    """Compute everything that depends on single rows, in one launch."""
    rows, features = embeddings.shape
    tiles = launch.row_tile(launch.width_of(features), embeddings.device)
    programs = triton.cdiv(rows, tiles.rows)
    similar, weighted = (rows if prototypes is not None else 0), (rows if roles is not None else 0)
    device = embeddings.device
    out = RowQuantities(
        units=torch.empty(rows, features, dtype=embeddings.dtype, device=device),
        lengths=torch.empty(rows, dtype=torch.float32, device=device),
        similarity=torch.empty(similar, dtype=torch.float32, device=device),
        nearest=torch.empty(similar, dtype=torch.int64, device=device),
        weights=torch.empty(weighted, dtype=torch.float32, device=device),
        shares=torch.empty(weighted, dtype=torch.float32, device=device),
        block_sums=torch.empty(kernels.BLOCK_SUMS, programs if weighted else 0, dtype=torch.float32, device=device),
        ranges=torch.empty(3, 0 if instance_ids is None else programs, dtype=torch.int32, device=device),
        tickets=torch.empty(1 + (0 if instance_ids is None else rows), dtype=torch.int32, device=device),
    )
    launch.launcher(kernels.unit_rows_kernel)[(programs,)](
        embeddings,
        instance_ids,
        None if prototypes is None else prototypes.contiguous(),
        None if roles is None else roles.contiguous(),
        *out,
        rows,
        0 if prototypes is None else len(prototypes),
        *embeddings.stride(),
        scale,
        weight_threshold,
        TRUSTED=trusted,
        FEATURES=features,
        WIDTH=launch.width_of(features),
        BLOCK=tiles.rows,
        num_warps=tiles.warps,
        **launch.compiler_options(device),
    )
    return out


class PrototypeParts(NamedTuple):
    """The prototypes ``[K, D]``, contiguous, and the ``sums [programs, K, D]`` of slopes times units, one a program."""

    prototypes: Tensor
    sums: Tensor

    @classmethod
    def empty(cls, units: Tensor, prototypes: Tensor) -> PrototypeParts:
        """Return parts that a kernel which goes over the rows of ``units [N, D]`` has yet to fill."""
        rows, features = units.shape
        _, programs = launch.part_plan(rows, launch.row_tile(launch.width_of(features), units.device))
        sums = torch.empty(programs, len(prototypes), features, dtype=torch.float32, device=units.device)
        return cls(prototypes.contiguous(), sums)


def prototype_gradients(parts: PrototypeParts) -> Tensor:
    """Return dL/dV ``[K, D]``. One launch."""
    prototypes, sums = parts
    programs, count, features = sums.shape
    gradients = torch.empty(count, features, dtype=prototypes.dtype, device=sums.device)
    launch.launcher(kernels.prototype_gradients_kernel)[(count,)](
        sums,
        prototypes,
        gradients,
        programs,
        count,
        FEATURES=features,
        WIDTH=launch.width_of(features),
        BLOCK=launch.PART_BLOCK,
        num_warps=4,
        **launch.compiler_options(sums.device),
    )
    return gradients


def similarity_forward(embeddings: Tensor, prototypes: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Return similarity, index, units and lengths. One launch."""
    rows = row_quantities(embeddings, prototypes, None, scale=1.0)
    return rows.similarity, rows.nearest, rows.units, rows.lengths


def similarity_backward(
    gradients: Tensor, prototypes: Tensor, index: Tensor, units: Tensor, lengths: Tensor, dtype: torch.dtype
) -> tuple[Tensor, Tensor]:
    """Return dL/dz ``[N, D]`` and dL/dV ``[K, D]`` for the gradients ``[N]`` of the similarities. Two launches."""
    rows, features = units.shape
    width = launch.width_of(features)
    tile = launch.row_tile(width, units.device)
    per_program, programs = launch.part_plan(rows, tile)
    parts = PrototypeParts.empty(units, prototypes)
    by_embeddings = torch.empty(rows, features, dtype=dtype, device=units.device)
    launch.launcher(kernels.similarity_gradients_kernel)[(programs,)](
        gradients.contiguous(),
        index,
        units,
        lengths,
        parts.prototypes,
        by_embeddings,
        parts.sums,
        rows,
        len(prototypes),
        per_program,
        SATURATE=launch.largest_of(dtype),
        FEATURES=features,
        WIDTH=width,
        BLOCK=tile.rows,
        PROTOTYPE_BLOCK=launch.PROTOTYPE_BLOCK,
        num_warps=tile.warps,
        **launch.compiler_options(units.device),
    )
    return by_embeddings, prototype_gradients(parts)
