"""Prototypes in plain PyTorch: Eq. 3, 4, 5 and 9. Works in float64; the oracle of the fast forms."""

from __future__ import annotations

import torch
from torch import Tensor

from hscl_kernels.prototypes.rows import normal_weights, unit

__all__ = ["normal_weights", "prototype_similarity", "sample_to_prototype", "unit"]


def prototype_similarity(embeddings: Tensor, prototypes: Tensor) -> tuple[Tensor, Tensor]:
    """Return the normality score of Eq. 9, m_i = max_k <u_i, v_k>, and its arg-max.

    Parameters
    ----------
    embeddings
        Raw features, ``[N, D]`` floating point.
    prototypes
        Raw prototypes, ``[K, D]``, same dtype.

    Returns
    -------
    similarity
        ``[N]``, in [-1, 1]; higher is more normal. Its gradient goes to the arg-max only.
    index
        int64 ``[N]``, the nearest prototype; a tie goes to the lowest. A similarity that is NaN counts as the highest.
    """
    similarities = unit(embeddings) @ unit(prototypes).T  # [N, K]
    highest = similarities.amax(dim=1, keepdim=True)
    nearest = (similarities == highest) | similarities.isnan()
    index = nearest.to(torch.int8).argmax(dim=1)  # argmax of a mask: the first, on every device
    return similarities.gather(1, index[:, None]).squeeze(1), index


def sample_to_prototype(similarity: Tensor, weights: Tensor, roles: Tensor) -> Tensor:
    """Return L_SP of Eq. 4, read element-wise: a scalar, each absent part exactly 0.

    L_SP = (1/||w||_1) sum_{i in n+u} (w_i (1 - m_i))^2 + (1/N_a) sum_{i in a} max(m_i, 0)^2.

    Parameters
    ----------
    similarity
        m, ``[N]``.
    weights
        w, ``[N]``, zero outside labelled normal and unlabelled rows.
    roles
        Integer ``[N]`` in {+1, 0, -1, 2}.
    """
    abnormal = (roles == -1).to(similarity.dtype)
    mass = weights.sum()
    normal_part = (weights * (1 - similarity)).square().sum() / torch.where(mass > 0, mass, 1.0)
    abnormal_part = (abnormal * similarity.clamp(min=0)).square().sum() / abnormal.sum().clamp(min=1)
    return normal_part + abnormal_part
