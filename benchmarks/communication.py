"""Bytes that the sharded objective sends per step, beside those of an autograd all-gather of the embeddings.

    python -m benchmarks.communication

Counts what every collective of two and four gloo ranks moves: a gather sends a rank's own n = N / R rows to R - 1
others, a reduce-scatter n rows of gradients to each of them. In float32 that is (R - 1) n (4 D + 36) bytes against
(R - 1) n (8 D + 16). Gradients of the network, which both need, are left out.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import torch
import torch.distributed as dist
from hscl_kernels import hscl_loss
from torch import Tensor

ROWS, FEATURES = 2048, 128


@contextmanager
def counted() -> Iterator[list[int]]:
    """Give the bytes that this rank sends in each collective, as a ring would."""
    sent: list[int] = []
    gather, scatter = dist.all_gather_into_tensor, dist.reduce_scatter_tensor

    def counting_gather(out: Tensor, own: Tensor, **options: object) -> object:
        sent.append(own.nbytes * (dist.get_world_size() - 1))
        return gather(out, own, **options)

    def counting_scatter(own: Tensor, everyone: Tensor, **options: object) -> object:
        sent.append(own.nbytes * (dist.get_world_size() - 1))
        return scatter(own, everyone, **options)

    dist.all_gather_into_tensor, dist.reduce_scatter_tensor = counting_gather, counting_scatter
    try:
        yield sent
    finally:
        dist.all_gather_into_tensor, dist.reduce_scatter_tensor = gather, scatter


class GatherRows(torch.autograd.Function):
    """The rows of all ranks; backward sums what every rank's loss wants of this rank's rows."""

    @staticmethod
    def forward(ctx: object, own: Tensor) -> Tensor:
        everyone = own.new_empty(dist.get_world_size() * len(own), *own.shape[1:])
        dist.all_gather_into_tensor(everyone, own)
        return everyone

    @staticmethod
    def backward(ctx: object, gradient: Tensor) -> Tensor:
        own = gradient.new_empty(len(gradient) // dist.get_world_size(), *gradient.shape[1:])
        dist.reduce_scatter_tensor(own, gradient.contiguous())
        return own


def sharded(z: Tensor, v: Tensor, ids: Tensor, roles: Tensor) -> Tensor:
    """Return the objective as training computes it."""
    return hscl_loss(z, v, ids, roles, group=dist.group.WORLD).total


def gathered(z: Tensor, v: Tensor, ids: Tensor, roles: Tensor) -> Tensor:
    """Return the objective of all rows on every rank."""
    facts = GatherRows.apply(torch.stack((ids, roles), dim=1))
    return hscl_loss(GatherRows.apply(z), v, *facts.T.contiguous()).total


def measure(rank: int, ranks: int, folder: str) -> None:
    """Count one step of both on a rank; the first rank prints."""
    torch.set_num_threads(1)
    dist.init_process_group("gloo", init_method=f"file://{folder}/rendezvous", rank=rank, world_size=ranks)
    generator = torch.Generator().manual_seed(0)
    own = slice(rank * ROWS // ranks, (rank + 1) * ROWS // ranks)
    z = torch.randn(ROWS, FEATURES, generator=generator)[own].requires_grad_()
    v = torch.randn(1, FEATURES, generator=generator).requires_grad_()
    ids, roles = (torch.arange(ROWS) // 2)[own], torch.randint(-1, 2, (ROWS,), generator=generator)[own]
    variants: dict[str, Callable[..., Tensor]] = {"sharded": sharded, "autograd all-gather": gathered}
    for name, objective in variants.items():
        with counted() as sent:
            loss = objective(z, v, ids, roles)
            forward = sum(sent)
            loss.backward()
        if rank == 0:
            total = sum(sent)
            print(f"| {ranks} | {name} | {forward:,} | {total - forward:,} | {total:,} | {loss.item():.5f} |")
    dist.barrier()
    dist.destroy_process_group()


def main() -> None:
    """Print a table."""
    print("| ranks | objective | bytes a rank sends forward | backward | in all | loss |")
    print("| ---: | --- | ---: | ---: | ---: | ---: |")
    for ranks in (2, 4):
        with tempfile.TemporaryDirectory() as folder:
            torch.multiprocessing.spawn(measure, (ranks, str(Path(folder))), nprocs=ranks)


if __name__ == "__main__":
    main()
