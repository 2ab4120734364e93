"""How many views per second does the Triton form render on a GPU, and in how much memory, beside the peers?"""

import pytest
import torch

from benchmarks.interleave import Interleaved, allocated_beyond
from benchmarks.view_peers import OURS, PER_IMAGE, RELEASED, VIEW_PEERS, build_views

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA or ROCm device, and torch finds none here"),
]

IMAGES = {32: 256, 64: 256, 224: 64}  # by side in pixels
ROUNDS = 20
PATIENCE = 10  # seconds a variant gets


@pytest.mark.parametrize("side", IMAGES)
def test_gpu_views(benchmark, side):
    """As on the CPU; seconds are of device events, and memory is the peak of torch's allocator beyond the inputs."""
    device = torch.device("cuda")
    names = [name for name in VIEW_PEERS if name != PER_IMAGE]  # which launches every operator for every image
    variants = {name: build_views(name, (IMAGES[side], side), device) for name in names}
    timing = Interleaved(variants, device, PATIENCE)
    memory = {name: allocated_beyond(timing, name) for name in names}
    views = {name: variant.forward() for name, variant in variants.items()}
    torch.testing.assert_close(views[OURS], views[RELEASED], atol=1e-4, rtol=0)
    for seconds in timing.seconds.values():
        seconds.clear()  # those turns compiled kernels
    others = [name for name in names if name != OURS]
    benchmark.pedantic(timing.time, args=(OURS,), setup=lambda: timing.round(others), rounds=ROUNDS)
    facts = {name: {**times, "memory": memory[name]} for name, times in timing.summary().items()}
    difference = (views[OURS] - views[RELEASED]).abs().max().item()
    benchmark.extra_info.update(side=side, views=8 * IMAGES[side], device="cuda", difference=difference, variants=facts)
