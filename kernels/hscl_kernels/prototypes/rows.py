"""Two formulas of single rows that the operations share with the code around them: unit vectors and weights."""

from __future__ import annotations

import torch
from torch import Tensor

EPS = 1e-12  # u = z / max(||z||, EPS)
# Rows longer than the first number, whose squares could overflow, are multiplied by the second, a power of two.
_LONG = {torch.float32: (2.0**48, 2.0**-80), torch.float64: (2.0**500, 2.0**-600)}


def unit(vectors: Tensor) -> Tensor:
    """Return vectors divided by their lengths, u = z / max(||z||, 1e-12).

    Parameters
    ----------
    vectors
        ``[..., D]`` floating point.

    Returns
    -------
    Tensor
        ``[..., D]``, same dtype; differentiable. A zero vector stays zero, a vector of any finite length has its
        direction, and one with a NaN or an infinity is NaN throughout.

    Examples
    --------
    >>> import torch
    >>> unit(torch.tensor([[0.0, 4.0], [0.0, 0.0]]))
    tensor([[0., 1.],
            [0., 0.]])
    """
    z, _, lengths = shortened(vectors.to(compute_dtype(vectors.dtype)))
    return (z / lengths.clamp(min=EPS)[..., None]).to(vectors.dtype)


def shortened(vectors: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Return vectors whose squares do not overflow, the factors that they carry, and their lengths with it.

    Parameters
    ----------
    vectors
        ``[..., D]`` float32 or float64.

    Returns
    -------
    vectors
        ``[..., D]``; those that are not long are as given.
    factors
        ``[...]``, 1 for vectors that are not long.
    lengths
        ``[...]``, NaN for a vector with a NaN or an infinity.
    """
    long, factor = _LONG[vectors.dtype]
    lengths = torch.linalg.vector_norm(vectors.detach(), dim=-1)
    factors = torch.where(lengths > long, factor, torch.ones_like(lengths))
    vectors = vectors * factors[..., None]
    lengths = torch.linalg.vector_norm(vectors, dim=-1)
    return vectors, factors, torch.where(lengths < float("inf"), lengths, float("nan"))


def compute_dtype(dtype: torch.dtype) -> torch.dtype:
    """Return the dtype in which the CPU computes for inputs of ``dtype``."""
    return torch.float64 if dtype == torch.float64 else torch.float32


def normal_weights(similarity: Tensor, roles: Tensor) -> Tensor:
    """Return w_i of Eq. 3 and 5: 1 for labelled normals, (m_i + 1) / 2 for unlabelled rows, 0 for all others.

    Parameters
    ----------
    similarity
        m, ``[N]`` floating point, as :func:`hscl_kernels.prototype_similarity` returns it.
    roles
        Integer ``[N]``: +1 labelled normal, 0 unlabelled, -1 labelled abnormal, 2 excluded.

    Returns
    -------
    Tensor
        ``[N]`` in [0, 1], in the dtype of ``similarity``; NaN for an unlabelled row whose similarity is not finite.
        It is detached: gradients do not flow through weights.

    Examples
    --------
    >>> import torch
    >>> normal_weights(torch.tensor([0.25, 0.0, -1.0, 0.25]), torch.tensor([1, 0, 0, -1]))
    tensor([1.0000, 0.5000, 0.0000, 0.0000])
    """
    similarity = similarity.detach()
    soft = ((similarity + 1) / 2).clamp(0, 1) + 0 * similarity  # 0 times an infinity is NaN
    return torch.where(roles == 1, 1.0, torch.where(roles == 0, soft, 0.0)).to(similarity.dtype)
