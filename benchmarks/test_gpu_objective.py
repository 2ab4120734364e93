"""How long do one forward and backward of the Triton form take on a GPU, and how much memory, beside the peers'?"""

import pytest
import torch

from benchmarks.batch import FEATURES, make_batch
from benchmarks.cuda_graphs import captured
from benchmarks.interleave import Interleaved, allocated_beyond
from benchmarks.kernel_times import kernel_times
from benchmarks.peers import GPU_PEERS, OURS

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA or ROCm device, and torch finds none here"),
]

ROWS = (2048, 4096, 8192, 16384, 32768, 65536)
ROUNDS = 20
PATIENCE = 5  # seconds a variant gets
MEMORY_SHARE = 0.8  # of the device's memory, which a variant may need


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16], ids=str)
@pytest.mark.parametrize("rows", ROWS)
def test_gpu_objective(benchmark, rows, dtype):
    """As on the CPU; seconds are of device events around CUDA graphs, where a variant can be captured in them.

    Memory is the peak of torch's allocator beyond the inputs, of calls outside graphs.
    """
    device = torch.device("cuda")
    limit = MEMORY_SHARE * torch.cuda.get_device_properties(device).total_memory
    batch = make_batch(rows, device, dtype)
    missing = {name: reason for name, peer in GPU_PEERS.items() if (reason := peer.reason_against(dtype))}
    names = [name for name, peer in GPU_PEERS.items() if name not in missing and peer.fits(rows, limit)]
    eager = Interleaved({name: GPU_PEERS[name].build(batch) for name in names}, device, PATIENCE)
    memory = {name: allocated_beyond(eager, name) for name in names}
    graphs = {name: captured(variant) for name, variant in eager.variants.items()}
    timing = Interleaved({name: variant for name, (variant, _) in graphs.items()}, device, PATIENCE)
    timing.round(names)
    for seconds in timing.seconds.values():
        seconds.clear()  # of the first turns
    others = [name for name in names if name != OURS]
    benchmark.pedantic(timing.time, args=(OURS,), setup=lambda: timing.round(others), rounds=ROUNDS)
    variants = {name: {**times, "memory": memory[name]} for name, times in timing.summary().items()}
    benchmark.extra_info.update(
        rows=rows,
        device="cuda",
        dtype=str(dtype).split(".")[1],
        variants=variants,
        left_out=missing,
        eager={name: reason for name, (_, reason) in graphs.items() if reason},
        kernels=kernel_times(eager.variants[OURS], rows, FEATURES),
    )
