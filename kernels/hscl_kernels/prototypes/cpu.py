"""Rows and prototypes on the CPU: normalisation, nearest prototype, and the gradients of the inputs. O(N D)."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from hscl_kernels.prototypes.rows import EPS, compute_dtype, shortened, unit


class UnitRows(NamedTuple):
    """``units [N, D]``: unit rows times a scale. ``lengths [N]``: max(||z||, 1e-12), NaN for a row not finite."""

    units: Tensor
    lengths: Tensor


def unit_rows(embeddings: Tensor, scale: float) -> UnitRows:
    """Return u times ``scale`` in float32 (float64 for float64 embeddings), and the lengths."""
    z, factors, lengths = shortened(embeddings.to(compute_dtype(embeddings.dtype)))
    lengths = lengths.clamp(min=EPS)
    # The length of a finite row can be infinite; its gradient is about 0 either way.
    return UnitRows(z * (scale / lengths)[:, None], (lengths / factors).clamp(max=torch.finfo(z.dtype).max))


def nearest_prototype(units: Tensor, scale: float, prototypes: Tensor) -> tuple[Tensor, Tensor]:
    """Return m_i = max_k <u_i, v_k> ``[N]`` and its arg-max ``[N]`` int64, the lowest k of a tie (Eq. 9)."""
    similarities = units @ unit(prototypes.to(units.dtype)).T / scale
    highest, index = similarities.max(dim=1)
    return highest, index


def prototype_slopes(similarity: Tensor, weights: Tensor, roles: Tensor) -> Tensor:
    """Return dL_SP/dm_i ``[N]`` of Eq. 4, the weights held fixed."""
    abnormal = (roles == -1).to(similarity.dtype)
    mass = weights.sum()
    pulled = -2 * weights.square() * (1 - similarity) / torch.where(mass > 0, mass, 1.0) + broken(similarity)
    return pulled + 2 * abnormal * similarity.clamp(min=0) / abnormal.sum().clamp(min=1)


def broken(values: Tensor) -> Tensor:
    """Return 0, or NaN if any of the values is NaN."""
    return (0 * values).sum()


def embedding_gradients(unit_gradients: Tensor, units: Tensor, scale: float, lengths: Tensor) -> Tensor:
    """Return dL/dz ``[N, D]``, written over dL/du: times (I - u u^T) / ||z||, or 1 / 1e-12 for shorter rows."""
    along = torch.linalg.vecdot(unit_gradients, units) / scale**2
    along = torch.where(lengths > EPS, along, 0.0)
    return unit_gradients.addcmul_(units, along[:, None], value=-1).div_(lengths[:, None])


def prototype_gradients(slopes: Tensor, index: Tensor, units: Tensor, scale: float, prototypes: Tensor) -> Tensor:
    """Return dL/dV ``[K, D]`` from dL/dm_i: each row's gradient goes to its nearest prototype."""
    shares = units.new_zeros(len(prototypes), len(units)).scatter_(0, index[None], (slopes / scale)[None])
    directions, lengths = unit_rows(prototypes.to(units.dtype), 1.0)
    return embedding_gradients(shares @ units, directions, 1.0, lengths)


def input_gradients(
    unit_gradients: Tensor | None,
    slopes: Tensor,
    index: Tensor,
    units: Tensor,
    scale: float,
    lengths: Tensor,
    prototypes: Tensor,
    dtype: torch.dtype,
) -> tuple[Tensor, Tensor]:
    """Return dL/dz ``[N, D]`` in ``dtype`` and dL/dV ``[K, D]``.

    ``unit_gradients [N, D]`` is the gradient of the unit rows from elsewhere (overwritten; None for zero), ``slopes
    [N]`` is dL/dm_i.
    """
    directions, _ = unit_rows(prototypes.to(units.dtype), 1.0)
    by_units = torch.zeros_like(units) if unit_gradients is None else unit_gradients
    by_units.addcmul_(directions.index_select(0, index), slopes[:, None])
    by_embeddings = embedding_gradients(by_units, units, scale, lengths)
    by_prototypes = prototype_gradients(slopes, index, units, scale, prototypes)
    return finite_in(dtype, by_embeddings, lengths).to(dtype), by_prototypes.to(prototypes.dtype)


def finite_in(dtype: torch.dtype, gradient: Tensor, lengths: Tensor) -> Tensor:
    """Saturate the gradients of zero rows, 1e12 times dL/du, where ``dtype`` is float16: an inf would turn into NaN."""
    if dtype != torch.float16:
        return gradient
    largest = torch.finfo(dtype).max
    return torch.where(lengths[:, None] > EPS, gradient, gradient.clamp(-largest, largest))


def similarity_forward(embeddings: Tensor, prototypes: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Return similarity, index, units and lengths."""
    units, lengths = unit_rows(embeddings, 1.0)
    similarity, index = nearest_prototype(units, 1.0, prototypes)
    return similarity, index, units, lengths


def similarity_backward(
    gradients: Tensor, prototypes: Tensor, index: Tensor, units: Tensor, lengths: Tensor, dtype: torch.dtype
) -> tuple[Tensor, Tensor]:
    """Return dL/dz ``[N, D]`` and dL/dV ``[K, D]`` for the gradients ``[N]`` of the similarities."""
    return input_gradients(None, gradients, index, units, 1.0, lengths, prototypes, dtype)
