"""How long do one forward and backward of the Triton form take on a GPU, and how much memory, beside the peers'?"""

import pytest
import torch

from benchmarks.batch import make_batch
from benchmarks.interleave import Interleaved, allocated_beyond
from benchmarks.peers import FLOOR, OURS, PEERS

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
    """As on the CPU; seconds are of device events, and memory is the peak of torch's allocator beyond the inputs."""
    device = torch.device("cuda")
    limit = MEMORY_SHARE * torch.cuda.get_device_properties(device).total_memory
    batch = make_batch(rows, device, dtype)
    names = [name for name, peer in PEERS.items() if name != FLOOR and peer.fits(rows, limit)]
    timing = Interleaved({name: PEERS[name].build(batch) for name in names}, device, PATIENCE)
    memory = {name: allocated_beyond(timing, name) for name in names}
    for seconds in timing.seconds.values():
        seconds.clear()  # those turns compiled kernels
    others = [name for name in names if name != OURS]
    benchmark.pedantic(timing.time, args=(OURS,), setup=lambda: timing.round(others), rounds=ROUNDS)
    variants = {name: {**times, "memory": memory[name]} for name, times in timing.summary().items()}
    benchmark.extra_info.update(rows=rows, device="cuda", dtype=str(dtype).split(".")[1], variants=variants)
