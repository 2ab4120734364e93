"""InfoNCE and the HSCL objective in Triton.

Three launches forward, of few rows two; two backward, with many prototypes three. On CDNA three and three.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import torch
import triton
from torch import Tensor

from hscl_kernels import launch
from hscl_kernels.contrast import (
    backward_kernels,
    few_rows_kernels,
    forward_kernels,
    online_kernels,
    row_terms_kernels,
)
from hscl_kernels.contrast.cpu_sweep import Rows
from hscl_kernels.contrast.reference import anchors_and_positives
from hscl_kernels.contrast.temperature import gradient_scale, is_online, unit_scale
from hscl_kernels.prototypes.triton_form import PrototypeParts, RowQuantities, prototype_gradients, row_quantities

_LOG2_E = 1.4426950408889634


def info_nce_forward(
    embeddings: Tensor, instance_ids: Tensor, temperature: float
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Return the rows' losses ``[N]``, and for the backward: units, lengths and ``row_state``."""
    instance_ids = instance_ids.contiguous()
    online = is_online(temperature)
    rows = row_quantities(embeddings, None, None, instance_ids=instance_ids, scale=unit_scale(temperature))
    row_losses = torch.empty_like(rows.lengths)
    row_state = torch.zeros(6, len(row_losses), dtype=torch.float32, device=row_losses.device)
    terms = Terms(rows, None, None, row_losses, row_state, None, (0.0, 0.0))
    _sweep_and_terms(instance_ids, terms, online=online)
    return row_losses, rows.units, rows.lengths, row_state


def info_nce_backward(
    gradients: Tensor,
    instance_ids: Tensor,
    units: Tensor,
    lengths: Tensor,
    row_state: Tensor,
    temperature: float,
    dtype: torch.dtype,
) -> Tensor:
    """Return dL/dz ``[N, D]`` in ``dtype`` for the gradients ``[N]`` of the rows' losses."""
    gradients = gradients.contiguous()
    sweep = sweep_backward(
        units,
        instance_ids.contiguous(),
        None,
        row_state,
        temperature=temperature,
        row_gradients=(gradients, gradients.abs().amax()),
    )
    return _input_gradients(sweep, units, lengths, dtype, None, None, scale=unit_scale(temperature))


def hscl_forward(
    embeddings: Tensor,
    prototypes: Tensor,
    instance_ids: Tensor,
    roles: Tensor,
    uniforms: Tensor | None,
    temperature: float,
    lambda_prototype: float,
    lambda_abnormal: float,
    weight_threshold: float,
) -> tuple[Tensor, ...]:
    """Return total, its three terms and weights, and for the backward: units, lengths, index and ``row_state``.

    The estimator ``multinomial`` (``uniforms`` given) draws with torch between the launches.
    """
    online = is_online(temperature)
    instance_ids, roles = instance_ids.contiguous(), roles.contiguous()
    rows = row_quantities(
        embeddings,
        prototypes,
        roles,
        instance_ids=instance_ids,
        scale=unit_scale(temperature),
        trusted=lambda_prototype > 0,
        weight_threshold=weight_threshold,
    )
    anchors, shares = None, rows.shares
    if uniforms is not None:
        anchors, positives = anchors_and_positives(rows.weights, weight_threshold, uniforms)
        shares = _shares(positives, roles)
    row_state = torch.empty(6, len(rows.lengths), dtype=torch.float32, device=rows.lengths.device)
    # [1], not []: Inductor fills the latter, with a launch for each.
    scalars = [torch.empty(1, dtype=torch.float32, device=row_state.device) for _ in range(5)]
    terms = Terms(rows, shares, anchors, None, row_state, scalars, (lambda_prototype, lambda_abnormal))
    _sweep_and_terms(instance_ids, terms, online=online)
    *losses, largest_anchor = (scalar.view(()) for scalar in scalars)
    return *losses, rows.weights, rows.units, rows.lengths, rows.nearest, row_state, largest_anchor


def hscl_backward(
    gradients: tuple[Tensor | None, ...],
    prototypes: Tensor,
    instance_ids: Tensor,
    roles: Tensor,
    units: Tensor,
    lengths: Tensor,
    index: Tensor,
    row_state: Tensor,
    largest_anchor: Tensor,
    temperature: float,
    lambda_prototype: float,
    lambda_abnormal: float,
    dtype: torch.dtype,
) -> tuple[Tensor, Tensor]:
    """Return dL/dz ``[N, D]`` in ``dtype`` and dL/dV ``[K, D]`` for the gradients of the total and its terms."""
    total, ss, sp, na = gradients
    sweep = sweep_backward(
        units,
        instance_ids.contiguous(),
        roles.contiguous(),
        row_state,
        temperature=temperature,
        upstream=(total, ss, na),
        lambda_abnormal=lambda_abnormal,
        largest_anchor=largest_anchor,
    )
    parts = PrototypeParts.empty(units, prototypes)
    by_prototypes = torch.empty(prototypes.shape, dtype=prototypes.dtype, device=prototypes.device)
    few = len(prototypes) <= launch.FEW_PROTOTYPES and launch.hands_over(units.device)
    by_embeddings = _input_gradients(
        sweep,
        units,
        lengths,
        dtype,
        parts,
        by_prototypes if few else None,
        scale=unit_scale(temperature),
        index=index,
        slopes=row_state[5],
        upstream=(total, sp),
        lambda_prototype=lambda_prototype,
    )
    return by_embeddings, by_prototypes if few else prototype_gradients(parts)


def own_log_sums(everyone: Rows, start: int, stop: int, *, online: bool) -> Tensor:
    """Return the log sums ``[4, stop - start]`` of some rows over all. Three launches."""
    ids, roles = everyone.ids.contiguous(), everyone.roles.contiguous()
    units, own = everyone.units, (start, stop)
    partials = sweep_forward(
        units, ids, _shares(everyone.positives, roles), _row_ranges(units, ids, roles), online=online, own=own
    )
    _, slots, rows = partials.shape
    log_sums = torch.empty(4, rows, dtype=torch.float32, device=partials.device)
    grid = (triton.cdiv(rows, launch.ROW_BLOCK), 2)
    options = launch.compiler_options(partials.device)
    launch.launcher(row_terms_kernels.log_sums_kernel)[grid](
        partials, log_sums, rows, slots, ONLINE=online, BLOCK=launch.ROW_BLOCK, **options
    )
    return log_sums


def own_unit_gradients(
    everyone: Rows, start: int, stop: int, sample_gradient: Tensor, abnormal_gradient: Tensor, temperature: float
) -> Tensor:
    """Return dL/du ``[stop - start, D]`` of some rows from the losses of all. One launch."""
    coefficients = everyone.coefficients.T  # [4, N]
    if is_online(temperature):
        coefficients = coefficients * _LOG2_E
    anchors = coefficients.new_ones(())  # the largest weight that an anchor can have
    sweep = sweep_backward(
        everyone.units,
        everyone.ids.contiguous(),
        everyone.roles.contiguous(),
        torch.cat((coefficients, everyone.positives[None])),
        temperature=temperature,
        upstream=(None, sample_gradient, abnormal_gradient),
        largest_anchor=anchors,
        own=(start, stop),
    )
    return sweep.unit_gradients.sum(0) * sweep.factor


class Sweep(NamedTuple):
    """The backward sweep's ``unit_gradients [splits, N, D]``, and the factor that turns their sum into dL/du.

    ``ticket [1]`` is 0, for the programs of the next launch to count themselves.
    """

    unit_gradients: Tensor
    factor: Tensor
    ticket: Tensor


def _shares(positives: Tensor, roles: Tensor) -> Tensor:
    """Return each row's share in the normal-to-abnormal sums of others: c, or -1 for an abnormal row."""
    return torch.where(roles == -1, -1.0, positives)


def _row_ranges(units: Tensor, ids: Tensor, roles: Tensor) -> Tensor:
    """Return the ranges that ``row_quantities`` finds in the form of one GPU. One launch."""
    rows, features = units.shape
    block = launch.row_tile(launch.width_of(features), ids.device).rows
    blocks = triton.cdiv(rows, block)
    ranges = torch.empty(3, blocks, dtype=torch.int32, device=ids.device)
    options = launch.compiler_options(ids.device)
    launch.launcher(forward_kernels.row_ranges_kernel)[(blocks,)](
        ids, roles, ranges, rows, BLOCK=block, num_warps=1, **options
    )
    return ranges


def _forward_options(units: Tensor, tile: launch.Tile) -> dict[str, Any]:
    """Return what every forward sweep is compiled with."""
    features = units.shape[1]
    width = launch.width_of(features)
    return {
        "PRECISION": launch.dot_precision(units.dtype),
        "FEATURES": features,
        "WIDTH": width,
        "ROWS": tile.rows,
        "COLUMNS": tile.columns,
        "RANGE": launch.row_tile(width, units.device).rows,
        "num_warps": tile.warps,
        "num_stages": tile.stages,
        **launch.compiler_options(units.device),
    }


def sweep_forward(
    units: Tensor,
    ids: Tensor,
    shares: Tensor | None,
    ranges: Tensor,
    *,
    online: bool,
    own: tuple[int, int] | None = None,
) -> Tensor:
    """Launch a forward sweep for the rows ``own``, or all; return its partial sums ``[4, slots, rows]``."""
    everyone, features = units.shape
    start, stop = (0, everyone) if own is None else own
    rows = stop - start
    width = launch.width_of(features)
    tile = launch.forward_tile(everyone, width, units.dtype, units.device, online=online)
    processors = launch.processors(units.device)
    options = _forward_options(units, tile)
    if online:
        splits, tiles = launch.row_owned_plan(rows, everyone, tile, processors)
        partials = torch.empty(4, splits, rows, dtype=torch.float32, device=units.device)
        launch.launcher(online_kernels.sweep_forward_online_kernel)[(triton.cdiv(rows, tile.rows), splits)](
            units, ids, shares, ranges, partials, start, rows, everyone, tiles, **options
        )
        return partials
    plan = launch.forward_plan(rows, everyone, max(tile.rows, tile.columns), processors, triangular=own is None)
    partials = torch.empty(4, plan.slots, rows, dtype=torch.float32, device=units.device)
    launch.launcher(forward_kernels.sweep_forward_kernel)[(plan.programs,)](
        units,
        ids,
        shares,
        ranges,
        partials,
        start,
        everyone,
        rows,
        plan.supers,
        plan.slots,
        plan.tiles,
        TRIANGULAR=own is None,
        **options,
    )
    return partials


class Terms(NamedTuple):
    """What the terms of the rows are computed from beside the sums of the sweep, and where they go.

    ``row_state`` and ``row_losses`` or the ``scalars`` are filled. ``lambdas`` are those of the prototypes and of the
    abnormal rows.
    """

    rows: RowQuantities
    shares: Tensor | None
    anchors: Tensor | None
    row_losses: Tensor | None
    row_state: Tensor
    scalars: list[Tensor] | None
    lambdas: tuple[float, float]

    def tensors(self, row_blocks: int) -> tuple[Tensor | None, ...]:
        """Return the kernels' arguments from ``lengths`` to ``tickets``, without the shares."""
        rows = self.rows
        return (
            rows.lengths,
            rows.similarity,
            rows.weights,
            self.anchors,
            rows.block_sums,
            self.row_losses,
            self.row_state,
            torch.empty(3, row_blocks, dtype=torch.float32, device=self.row_state.device),
            *([None] * 5 if self.scalars is None else self.scalars),
            rows.tickets,
        )


def _sweep_and_terms(ids: Tensor, terms: Terms, *, online: bool) -> None:
    """Launch the forward sweep and what fills ``terms``: mostly one launch for few rows, else two."""
    units, ranges = terms.rows.units, terms.rows.ranges
    if not online and launch.forward_ends_with_terms(len(units), units.device):
        sweep_forward_to_losses(ids, terms)
    else:
        row_terms(sweep_forward(units, ids, terms.shares, ranges, online=online), terms, online=online)


def sweep_forward_to_losses(ids: Tensor, terms: Terms) -> None:
    """Launch the forward sweep whose programs go on to the terms of the rows."""
    units = terms.rows.units
    rows, features = units.shape
    width = launch.width_of(features)
    tile = launch.forward_tile(rows, width, units.dtype, units.device, online=False)
    side = max(tile.rows, tile.columns)
    plan = launch.forward_plan(rows, rows, side, launch.processors(units.device), triangular=True)
    launch.launcher(few_rows_kernels.sweep_forward_to_losses_kernel)[(plan.programs,)](
        units,
        ids,
        terms.shares,
        terms.rows.ranges,
        torch.empty(4, plan.slots, rows, dtype=torch.float32, device=units.device),
        *terms.tensors(triton.cdiv(rows, side)),
        rows,
        plan.supers,
        plan.tiles,
        terms.rows.block_sums.shape[1],
        *terms.lambdas,
        **_forward_options(units, tile),
    )


def row_terms(partials: Tensor, terms: Terms, *, online: bool) -> None:
    """Launch ``row_terms_kernel`` for the ``partials`` of a sweep."""
    _, slots, count = partials.shape
    programs = triton.cdiv(count, launch.ROW_BLOCK)
    launch.launcher(row_terms_kernels.row_terms_kernel)[(programs,)](
        partials,
        terms.shares,
        *terms.tensors(programs),
        count,
        slots,
        terms.rows.block_sums.shape[1],
        *terms.lambdas,
        ONLINE=online,
        BLOCK=launch.ROW_BLOCK,
        num_warps=4,
        **launch.compiler_options(partials.device),
    )


def sweep_backward(
    units: Tensor,
    ids: Tensor,
    roles: Tensor | None,
    row_state: Tensor,
    *,
    temperature: float,
    row_gradients: tuple[Tensor, Tensor] | None = None,
    upstream: tuple[Tensor | None, Tensor | None, Tensor | None] = (None, None, None),
    lambda_abnormal: float = 1.0,
    largest_anchor: Tensor | None = None,
    own: tuple[int, int] | None = None,
) -> Sweep:
    """Launch ``sweep_backward_kernel`` for per-row gradients (and their largest) or for those of the terms."""
    columns, features = units.shape
    start, stop = (0, columns) if own is None else own
    rows = stop - start
    width = launch.width_of(features)
    tile = launch.backward_tile(columns, features, units.dtype, units.device, online=is_online(temperature))
    splits, tiles = launch.row_owned_plan(rows, columns, tile, launch.processors(units.device))
    factor = torch.empty(1, dtype=torch.float32, device=units.device)
    ticket = torch.empty(1, dtype=torch.int32, device=units.device)
    out = torch.empty(splits, rows, features, dtype=torch.float32, device=units.device)
    online = is_online(temperature)
    kernel = online_kernels.sweep_backward_online_kernel if online else backward_kernels.sweep_backward_kernel
    launch.launcher(kernel)[(triton.cdiv(rows, tile.rows), splits)](
        units,
        ids,
        roles,
        row_state,
        *((None, None) if row_gradients is None else row_gradients),
        *upstream,
        largest_anchor,
        out,
        factor,
        ticket,
        start,
        rows,
        columns,
        tiles,
        lambda_abnormal,
        gradient_scale(temperature),
        PRECISION=launch.dot_precision(units.dtype),
        FEATURES=features,
        WIDTH=width,
        ROWS=tile.rows,
        COLUMNS=tile.columns,
        num_warps=tile.warps,
        num_stages=tile.stages,
        **launch.compiler_options(units.device),
    )
    return Sweep(out, factor, ticket)


def _input_gradients(
    sweep: Sweep,
    units: Tensor,
    lengths: Tensor,
    dtype: torch.dtype,
    parts: PrototypeParts | None,
    by_prototypes: Tensor | None,
    *,
    scale: float,
    index: Tensor | None = None,
    slopes: Tensor | None = None,
    upstream: tuple[Tensor | None, Tensor | None] = (None, None),
    lambda_prototype: float = 1.0,
) -> Tensor:
    """Launch ``input_gradients_kernel``: return dL/dz, and fill the prototypes' parts and gradients if they are given.

    ``upstream`` are the gradients of the total and of the sample-to-prototype term.
    """
    rows, features = units.shape
    width = launch.width_of(features)
    tile = launch.row_tile(width, units.device)
    per_program, programs = launch.part_plan(rows, tile)
    by_embeddings = torch.empty(rows, features, dtype=dtype, device=units.device)
    launch.launcher(backward_kernels.input_gradients_kernel)[(programs,)](
        sweep.unit_gradients,
        sweep.factor,
        slopes,
        *upstream,
        index,
        units,
        lengths,
        None if parts is None else parts.prototypes,
        by_embeddings,
        None if parts is None else parts.sums,
        by_prototypes,
        sweep.ticket,
        rows,
        0 if parts is None else len(parts.prototypes),
        len(sweep.unit_gradients),
        per_program,
        lambda_prototype,
        scale,
        SATURATE=launch.largest_of(dtype),
        FEATURES=features,
        WIDTH=width,
        BLOCK=tile.rows,
        PROTOTYPE_BLOCK=launch.PROTOTYPE_BLOCK,
        PART_BLOCK=launch.PART_BLOCK,
        num_warps=tile.warps,
        **launch.compiler_options(units.device),
    )
    return by_embeddings
