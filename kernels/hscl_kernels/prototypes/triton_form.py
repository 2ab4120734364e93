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
    ticket: Tensor


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
    tiles = launch.row_tile(launch.width_of(features))
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
        ticket=torch.empty(1, dtype=torch.int32, device=device),
    )
    kernels.unit_rows_kernel[(programs,)](
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


class Sweep(NamedTuple):
    """The backward sweep's ``unit_gradients [splits, N, D]``, and the factor that turns their sum into dL/du."""

    unit_gradients: Tensor
    factor: Tensor


def input_gradients(
    sweep: Sweep | None,
    units: Tensor,
    lengths: Tensor,
    dtype: torch.dtype,
    *,
    scale: float,
    prototypes: Tensor | None = None,
    index: Tensor | None = None,
    slopes: Tensor | None = None,
    upstream: tuple[Tensor | None, Tensor | None] = (None, None),
    lambda_prototype: float = 1.0,
) -> tuple[Tensor, Tensor | None]:
    """Compute dL/dz and, with prototypes, dL/dV, in a launch each.

    ``upstream`` are the gradients of the total and of the sample-to-prototype term, None where there is none.
    """
    rows, features = units.shape
    width = launch.width_of(features)
    tiles = launch.row_tile(launch.width_of(features))
    blocks = triton.cdiv(rows, tiles.rows)
    per_program = triton.cdiv(blocks, launch.MOST_PARTS)
    programs = triton.cdiv(blocks, per_program)
    by_embeddings = torch.empty(rows, features, dtype=dtype, device=units.device)
    count = 0 if prototypes is None else len(prototypes)
    parts = torch.empty(programs, count, features, dtype=torch.float32, device=units.device)
    given = prototypes.contiguous() if prototypes is not None else units
    total, term = upstream
    kernels.input_gradients_kernel[(programs,)](
        units if sweep is None else sweep.unit_gradients,
        lengths if sweep is None else sweep.factor,
        lengths if slopes is None else slopes,
        lengths if total is None else total,
        lengths if term is None else term,
        lengths if index is None else index,
        units,
        lengths,
        given,
        by_embeddings,
        parts,
        rows,
        count,
        0 if sweep is None else len(sweep.unit_gradients),
        per_program,
        lambda_prototype,
        scale,
        HAS_TOTAL=total is not None,
        HAS_TERM=term is not None,
        SWEEP=sweep is not None,
        PROTOTYPES=prototypes is not None,
        SATURATE=torch.finfo(dtype).max if dtype == torch.float16 else 0.0,
        FEATURES=features,
        WIDTH=width,
        BLOCK=tiles.rows,
        PROTOTYPE_BLOCK=launch.PROTOTYPE_BLOCK,
        num_warps=tiles.warps,
        **launch.compiler_options(units.device),
    )
    if prototypes is None:
        return by_embeddings, None
    by_prototypes = torch.empty(count, features, dtype=prototypes.dtype, device=units.device)
    kernels.prototype_gradients_kernel[(count,)](
        parts,
        given,
        by_prototypes,
        programs,
        count,
        FEATURES=features,
        WIDTH=width,
        BLOCK=16,
        num_warps=4,
        **launch.compiler_options(units.device),
    )
    return by_embeddings, by_prototypes


def similarity_forward(embeddings: Tensor, prototypes: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Return similarity, index, units and lengths. One launch."""
    rows = row_quantities(embeddings, prototypes, None, scale=1.0)
    return rows.similarity, rows.nearest, rows.units, rows.lengths


def similarity_backward(
    gradients: Tensor, prototypes: Tensor, index: Tensor, units: Tensor, lengths: Tensor, dtype: torch.dtype
) -> tuple[Tensor, Tensor]:
    """Return dL/dz ``[N, D]`` and dL/dV ``[K, D]`` for the gradients ``[N]`` of the similarities. Two launches."""
    by_embeddings, by_prototypes = input_gradients(
        None, units, lengths, dtype, scale=1.0, prototypes=prototypes, index=index, slopes=gradients.contiguous()
    )
    assert by_prototypes is not None
    return by_embeddings, by_prototypes
