"""Two formulas of single rows that the operations share with the code around them: unit vectors and weights."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor


def unit(vectors: Tensor) -> Tensor:
    """Return vectors divided by their lengths, u = z / max(||z||, 1e-12).

    Parameters
    ----------
    vectors
        ``[..., D]`` floating point.

    Returns
    -------
    Tensor
        ``[..., D]``, same dtype; differentiable. A zero vector stays zero.

    Examples
    --------
    >>> import torch
    >>> unit(torch.tensor([[0.0, 4.0], [0.0, 0.0]]))
    tensor([[0., 1.],
            [0., 0.]])
    """
    return F.normalize(vectors, dim=-1, eps=1e-12)


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
        ``[N]`` in [0, 1], in the dtype of ``similarity``. It is detached: gradients do not flow through weights.

    Examples
    --------
    >>> import torch
    >>> normal_weights(torch.tensor([0.25, 0.0, -1.0, 0.25]), torch.tensor([1, 0, 0, -1]))
    tensor([1.0000, 0.5000, 0.0000, 0.0000])
    """
    soft = ((similarity.detach() + 1) / 2).clamp(0, 1)
    return torch.where(roles == 1, 1.0, torch.where(roles == 0, soft, 0.0)).to(similarity.dtype)
