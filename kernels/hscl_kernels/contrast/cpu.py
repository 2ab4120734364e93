"""InfoNCE and the HSCL objective on the CPU: O(N D) plain PyTorch around the tiled sweep."""

from __future__ import annotations

import torch
from torch import Tensor

from hscl_kernels.contrast.cpu_sweep import Rows, row_log_sums, unit_gradients
from hscl_kernels.contrast.reference import anchors_and_positives
from hscl_kernels.contrast.row_terms import row_terms
from hscl_kernels.contrast.temperature import gradient_scale, is_online, unit_scale
from hscl_kernels.prototypes.cpu import (
    broken,
    embedding_gradients,
    finite_in,
    input_gradients,
    nearest_prototype,
    prototype_slopes,
    unit_rows,
)
from hscl_kernels.prototypes.reference import normal_weights, sample_to_prototype


def info_nce_forward(
    embeddings: Tensor, instance_ids: Tensor, temperature: float
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Return the rows' losses ``[N]``, and for the backward: units, lengths and ``row_state [6, N]``."""
    units, lengths = unit_rows(embeddings, unit_scale(temperature))
    nothing = lengths.new_zeros(len(lengths))
    rows = _rows(units, instance_ids, torch.full_like(instance_ids, 2), row_state=nothing.expand(6, -1))
    online = is_online(temperature)
    terms = row_terms(row_log_sums(rows, rows, online=online), nothing, logarithmic=online)
    row_state = torch.cat((terms.coefficients, nothing.expand(2, -1)))
    # A row that is not finite shows in the losses of all: no NaN is left out because its row has no positive.
    return terms.sample_to_sample + broken(lengths), units, lengths, row_state


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
    rows = _rows(units, instance_ids, torch.full_like(instance_ids, 2), row_state=row_state, gradients=gradients)
    unit_gradient = unit_gradients(rows, rows, units.new_zeros(()), online=is_online(temperature))
    unit_gradient *= gradient_scale(temperature)
    by_embeddings = embedding_gradients(unit_gradient, units, unit_scale(temperature), lengths)
    return finite_in(dtype, by_embeddings, lengths).to(dtype)


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

    The last output, the largest anchor, keeps float16 in range on a GPU; it is 0 here.
    """
    scale, online = unit_scale(temperature), is_online(temperature)
    units, lengths = unit_rows(embeddings, scale)
    similarity, index = nearest_prototype(units, scale, prototypes)
    weights = normal_weights(similarity if lambda_prototype > 0 else torch.ones_like(similarity), roles)
    anchors, positives = anchors_and_positives(weights, weight_threshold, uniforms)
    row_state = units.new_zeros(6, len(units))
    row_state[4] = positives
    row_state[5] = prototype_slopes(similarity, weights, roles)
    rows = _rows(units, instance_ids, roles, row_state=row_state)
    terms = row_terms(row_log_sums(rows, rows, online=online), anchors, logarithmic=online)
    row_state[:4] = terms.coefficients
    ss, na = terms.sample_to_sample.mean(), terms.normal_to_abnormal.sum()
    sp = sample_to_prototype(similarity, weights, roles)
    ss, na = ss + broken(similarity), na + broken(similarity)
    total = ss + lambda_prototype * sp + lambda_abnormal * na
    return total, ss, sp, na, weights, units, lengths, index, row_state, units.new_zeros(())


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
    ss, sp, na = term_gradients(gradients, lambda_prototype, lambda_abnormal, units)
    rows = _rows(units, instance_ids, roles, row_state=row_state, gradients=(ss / len(units)).expand(len(units)))
    by_units = unit_gradients(rows, rows, na, online=is_online(temperature)).mul_(gradient_scale(temperature))
    return input_gradients(
        by_units, sp * row_state[5], index, units, unit_scale(temperature), lengths, prototypes, dtype
    )


def term_gradients(
    gradients: tuple[Tensor | None, ...],
    lambda_prototype: float,
    lambda_abnormal: float,
    like: Tensor,
) -> tuple[Tensor, Tensor, Tensor]:
    """Return the gradients of the three terms, including those that arrive through the total."""
    total, ss, sp, na = (like.new_zeros(()) if g is None else g for g in gradients)
    return total + ss, lambda_prototype * total + sp, lambda_abnormal * total + na


def own_log_sums(everyone: Rows, start: int, stop: int, *, online: bool) -> Tensor:
    """Return the log sums ``[4, stop - start]`` of some rows over all."""
    return row_log_sums(Rows(*(field[start:stop] for field in everyone)), everyone, online=online)


def own_unit_gradients(
    everyone: Rows, start: int, stop: int, sample_gradient: Tensor, abnormal_gradient: Tensor, temperature: float
) -> Tensor:
    """Return dL/du ``[stop - start, D]`` of some rows from the losses of all."""
    count = len(everyone.ids)
    everyone = everyone._replace(gradients=(sample_gradient / count).expand(count))
    own = Rows(*(field[start:stop] for field in everyone))
    by_units = unit_gradients(own, everyone, abnormal_gradient, online=is_online(temperature))
    return by_units.mul_(gradient_scale(temperature))


def _rows(
    units: Tensor, instance_ids: Tensor, roles: Tensor, *, row_state: Tensor, gradients: Tensor | None = None
) -> Rows:
    return Rows(
        units=units,
        ids=instance_ids,
        numbers=torch.arange(len(units), device=units.device),
        roles=roles,
        positives=row_state[4],
        coefficients=row_state[:4].T,
        gradients=units.new_zeros(len(units)) if gradients is None else gradients,
    )
