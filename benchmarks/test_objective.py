"""How long do one forward and backward of the objective take on the CPU, and how much memory, beside the peers'?"""

import pytest
import torch

from benchmarks import released_eager
from benchmarks.batch import make_batch
from benchmarks.interleave import Interleaved
from benchmarks.memory import extra_memory
from benchmarks.peers import FLOOR, OURS, PEERS, build_peer
from hscl_fast.method.objective import row_roles
from hscl_fast.method.released_loss import released_loss

CPU = torch.device("cpu")
ROUNDS = {512: 25, 1024: 25, 2048: 15, 4096: 7, 8192: 5, 16384: 4, 32768: 2, 65536: 1}
SMALL = 256  # rows of the warm-up in a process that measures memory
PATIENCE = 10  # seconds a variant gets at one N before it sits out, in favour of more rounds for the others


def test_the_eager_released_objective_is_the_released_loss():
    batch = make_batch(512)
    roles = row_roles(batch.image_roles, "inherit")
    inputs = batch.embeddings, batch.prototypes
    eager = released_eager.objective(*inputs, roles, batch.draws)
    released = sum(released_loss(*inputs, roles, draws=batch.draws))
    torch.testing.assert_close(eager, released)
    torch.testing.assert_close(torch.autograd.grad(eager, inputs), torch.autograd.grad(released, inputs))


@pytest.mark.parametrize("rows", ROUNDS)
def test_objective(benchmark, rows):
    """pytest-benchmark times ours, forward and backward together; its setup gives every other variant a turn."""
    names = [name for name, peer in PEERS.items() if peer.fits(rows)]
    measured = [name for name in names if name != FLOOR]  # whose memory is allocated beforehand
    memory = extra_memory(build_peer, measured, SMALL, rows)
    warm_up = _variants(names, min(rows, 2048))
    warm_up.round(names)
    timing = _variants(names, rows)
    others = [name for name in names if name != OURS]
    benchmark.pedantic(timing.time, args=(OURS,), setup=lambda: timing.round(others), rounds=ROUNDS[rows])
    variants = {name: {**times, "memory": memory.get(name)} for name, times in timing.summary().items()}
    benchmark.extra_info.update(rows=rows, device="cpu", dtype="float32", variants=variants)


def _variants(names: list[str], rows: int) -> Interleaved:
    batch = make_batch(rows)
    return Interleaved({name: PEERS[name].build(batch) for name in names}, CPU, PATIENCE)
