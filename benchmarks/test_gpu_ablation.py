"""How much longer does a training step at the paper's batch take on a GPU without each of its speed features?"""

import pytest
import torch

from benchmarks.ablation import BASE, GPU_FEATURES, Without, make_step
from benchmarks.interleave import Interleaved, Variant, allocated_beyond

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA or ROCm device, and torch finds none here"),
]

SIZE = {"width": 64, "images": 256, "side": 32}
GRAPHS = {f"all features, {mode}": Without(compile=mode) for mode in ("reduce-overhead", "max-autotune")}
ROUNDS = 20


def test_gpu_ablation(benchmark):
    """As on the CPU, in bfloat16 and compiled; seconds are of device events, and memory the allocator's peak."""
    device = torch.device("cuda")
    losses, calls = {}, {}
    for name, without in {BASE: Without(), **GPU_FEATURES, **GRAPHS}.items():
        step, loader = make_step(without, device, **SIZE, precision=torch.bfloat16, compile="default")
        batches = loader.batches(0, 1000)
        for _ in range(3):  # compiles, then captures
            step(next(batches))
        losses[name] = step.read_metrics()["total"]
        calls[name] = lambda step=step, batches=batches: step(next(batches))
    timing = Interleaved({name: Variant(call, lambda _: None) for name, call in calls.items()}, device)
    memory = {name: allocated_beyond(timing, name) for name in calls}
    for seconds in timing.seconds.values():
        seconds.clear()
    others = [name for name in calls if name != BASE]
    benchmark.pedantic(timing.time, args=(BASE,), setup=lambda: timing.round(others), rounds=ROUNDS)
    variants = {name: {**row, "loss": losses[name], "memory": memory[name]} for name, row in timing.summary().items()}
    benchmark.extra_info.update(**SIZE, device="cuda", variants=variants)
