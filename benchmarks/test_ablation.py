"""How much longer does a training step take without each of its speed features?"""

import torch

from benchmarks.ablation import BASE, FEATURES, Without, make_step
from benchmarks.interleave import Interleaved, Variant

CPU = torch.device("cpu")
SIZE = {"width": 16, "images": 256, "side": 16}
COMPILED = "compiled by Inductor, which is off by default here"
ROUNDS = 7
PATIENCE = 40  # seconds a variant gets before it sits out


def test_ablation(benchmark):
    """pytest-benchmark times the usual step; its setup gives every other one a turn. Loss: of the first step."""
    lacking = {BASE: Without(), **FEATURES, COMPILED: Without(compile="default")}
    losses, calls = {}, {}
    for name, without in lacking.items():
        step, loader = make_step(without, CPU, **SIZE, precision=torch.float32, compile="off")
        batches = loader.batches(0, 1000)
        step(next(batches))
        losses[name] = step.read_metrics()["total"]
        calls[name] = lambda step=step, batches=batches: step(next(batches))
    timing = Interleaved({name: Variant(call, lambda _: None) for name, call in calls.items()}, CPU, PATIENCE)
    others = [name for name in calls if name != BASE]
    benchmark.pedantic(timing.time, args=(BASE,), setup=lambda: timing.round(others), rounds=ROUNDS)
    variants = {name: {**row, "loss": losses[name]} for name, row in timing.summary().items()}
    benchmark.extra_info.update(**SIZE, device="cpu", variants=variants)
