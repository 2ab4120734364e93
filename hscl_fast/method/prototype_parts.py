"""The two sums of the sample-to-prototype term, Eq. 4, one at a time: what the paper's ablations leave out.

They are computed beside the sweep, which has both, and taken off its result.
"""

from __future__ import annotations

from typing import Literal

import torch
from hscl_kernels import normal_weights, prototype_similarity
from torch import Tensor
from torch.distributed import ProcessGroup, all_reduce

Part = Literal["normals", "anomalies"]


def part_of_prototype_term(
    embeddings: Tensor,
    prototypes: Tensor,
    roles: Tensor,
    part: Part,
    *,
    group: ProcessGroup | None = None,
    backend: Literal["auto", "reference", "cpu", "triton"] = "auto",
) -> Tensor:
    """Return one sum of Eq. 4.

    ``normals`` is (1/||w||_1) sum_{i in n+u} (w_i (1 - m_i))^2, which pulls normals to a prototype, and ``anomalies``
    is (1/N_a) sum_{i in a} max(m_i, 0)^2, which pushes labelled anomalies away. Weights are not differentiated.

    Parameters
    ----------
    embeddings, prototypes
        Raw features ``[N, D]`` and prototypes ``[K, D]``.
    roles
        Integer ``[N]`` in {+1, 0, -1, 2}.
    part
        Which sum.
    group
        Ranks over which the rows are spread, or None. The value is that of all rows; the gradients are the shares of
        this rank's rows, as those of :func:`hscl_kernels.hscl_loss`.
    backend
        Form of the similarities.

    Returns
    -------
    Tensor
        A scalar, exactly 0 without rows of the kind.
    """
    similarity, _ = prototype_similarity(embeddings, prototypes, backend=backend)
    if part == "normals":
        mass = normal_weights(similarity.detach(), roles)
        terms = (mass * (1 - similarity)).square()
    else:
        mass = (roles == -1).to(similarity.dtype)
        terms = (mass * similarity.clamp(min=0)).square()
    total = mass.sum()
    if group is not None:
        all_reduce(total, group=group)
    share = terms.sum() / torch.where(total > 0, total, 1.0)
    if group is None:
        return share
    whole = share.detach().clone()
    all_reduce(whole, group=group)
    return share + (whole - share.detach())
