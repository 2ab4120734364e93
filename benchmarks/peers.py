"""The variants that are compared: our objective and the eager, compiled and packaged losses; the memory each needs."""

from __future__ import annotations

import importlib.util
from collections.abc import Callable
from typing import NamedTuple

import torch
from hscl_kernels import hscl_loss, info_nce
from hscl_kernels.contrast import reference

from benchmarks import gpu_peers, released_eager
from benchmarks.batch import Batch, make_batch
from benchmarks.floor import floor
from benchmarks.interleave import Variant, differentiable
from hscl_fast.method.objective import row_roles

OURS = "hscl_loss, exclude"
RELEASED = "released objective, eager"
FLOOR = "recompute floor: matrix products alone"
MEMORY_LIMIT = 10e9  # bytes; a variant that needs more at some N leaves that cell empty


class Peer(NamedTuple):
    """One compared variant. ``build`` prepares it; ``matrices`` and ``cubes`` are its peak in N x N and N^3 float32, as
    ``benchmarks.memory`` measured it; ``largest`` is the largest N it is run at where time, not memory, is the bound.
    ``package`` is what it imports, and ``dtypes`` are those that it takes if it does not take all.
    """

    build: Callable[[Batch], Variant]
    matrices: float = 0
    cubes: float = 0
    largest: int = 65536
    package: str | None = None
    dtypes: tuple[torch.dtype, ...] | None = None

    def reason_against(self, dtype: torch.dtype) -> str | None:
        """Return why it cannot run here in a dtype; None if it can."""
        if self.package is not None and importlib.util.find_spec(self.package) is None:
            return f"{self.package} is not installed"
        if self.dtypes is not None and dtype not in self.dtypes:
            return f"it does not take {str(dtype).removeprefix('torch.')}"
        return None

    def fits(self, rows: int, limit: float = MEMORY_LIMIT) -> bool:
        """Whether the peak is within ``limit`` bytes and N within ``largest``."""
        return rows <= self.largest and 4 * rows**2 * (self.matrices + self.cubes * rows) <= limit


def _released(batch: Batch) -> Variant:
    roles = row_roles(batch.image_roles, "inherit")
    z, v = batch.embeddings, batch.prototypes
    return differentiable(lambda: released_eager.objective(z.float(), v, roles, batch.draws), z, v)


def _released_nt_xent(batch: Batch) -> Variant:
    return differentiable(lambda: released_eager.nt_xent(batch.embeddings), batch.embeddings)


def _hscl_loss(rotated_roles: str, backend: str) -> Callable[[Batch], Variant]:
    def build(batch: Batch) -> Variant:
        roles = row_roles(batch.image_roles, rotated_roles)
        z, v = batch.embeddings, batch.prototypes
        wide = torch.Tensor.float if backend == "reference" else torch.Tensor.contiguous  # as training does
        return differentiable(lambda: hscl_loss(wide(z), v, batch.instance_ids, roles, backend=backend).total, z, v)

    return build


def _info_nce(batch: Batch) -> Variant:
    return differentiable(lambda: info_nce(batch.embeddings, batch.instance_ids), batch.embeddings)


def _info_nce_eager(batch: Batch) -> Variant:
    return differentiable(lambda: reference.info_nce(batch.embeddings, batch.instance_ids), batch.embeddings)


def _info_nce_inductor(batch: Batch) -> Variant:
    torch.compiler.reset()  # each N is one more compilation of the same function, and torch allows eight
    compiled = torch.compile(reference.info_nce, dynamic=False, fullgraph=True)
    variant = differentiable(lambda: compiled(batch.embeddings, batch.instance_ids), batch.embeddings)
    variant.backward(variant.forward())  # compiles both
    return variant


def _pytorch_metric_learning(batch: Batch) -> Variant:
    from pytorch_metric_learning.losses import NTXentLoss  # here, since these packages take seconds to import

    loss = NTXentLoss(temperature=0.5)
    return differentiable(lambda: loss(batch.embeddings, batch.instance_ids), batch.embeddings)


def _lightly(batch: Batch) -> Variant:
    from lightly.loss import NTXentLoss

    loss = NTXentLoss(temperature=0.5)
    return differentiable(lambda: loss(*batch.embeddings.chunk(2)), batch.embeddings)


WHOLE: dict[str, Peer] = {
    OURS: Peer(_hscl_loss("exclude", "auto")),
    "hscl_loss, inherit": Peer(_hscl_loss("inherit", "auto")),
    "hscl_loss, eager reference": Peer(_hscl_loss("exclude", "reference"), matrices=8.4, largest=8192),
    RELEASED: Peer(_released, matrices=8.8),
}
SAMPLE_TO_SAMPLE: dict[str, Peer] = {
    "info_nce": Peer(_info_nce, largest=32768),
    "info_nce, eager reference": Peer(_info_nce_eager, matrices=5.9, largest=8192),
    "info_nce, torch.compile": Peer(_info_nce_inductor, matrices=1.2, largest=16384),
    "released NT-Xent, eager": Peer(_released_nt_xent, matrices=8.4),
    "lightly NTXentLoss": Peer(_lightly, matrices=4.7, package="lightly"),
    "pytorch-metric-learning NTXentLoss": Peer(_pytorch_metric_learning, cubes=4.3, package="pytorch_metric_learning"),
}
PEERS: dict[str, Peer] = {**WHOLE, **SAMPLE_TO_SAMPLE, FLOOR: Peer(floor)}
_HALVES = (torch.float16, torch.bfloat16)
# Triton kernels and flash attention: without a GPU none of them runs.
GPU_ONLY: dict[str, Peer] = {
    "Inf-CL, with self": Peer(gpu_peers.inf_cl, package="inf_cl"),
    "Cut Cross-Entropy, with self": Peer(gpu_peers.cut_cross_entropy, package="cut_cross_entropy", dtypes=_HALVES),
    "Liger fused linear cross-entropy, with self": Peer(gpu_peers.liger, package="liger_kernel"),
    "upper bar: flash attention": Peer(gpu_peers.flash_attention, dtypes=_HALVES),
}
GPU_PEERS: dict[str, Peer] = {**WHOLE, **SAMPLE_TO_SAMPLE, **GPU_ONLY}


def build_peer(name: str, rows: int) -> Variant:
    """Return a variant at N ``rows``, for a process of its own."""
    return PEERS[name].build(make_batch(rows))
