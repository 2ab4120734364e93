"""How many views per second does the CPU render, and in how much memory, beside the released layers and others?"""

import pytest
import torch

from benchmarks.interleave import Interleaved
from benchmarks.memory import extra_memory
from benchmarks.view_peers import OURS, OURS_DRAWN, RELEASED, VIEW_PEERS, build_views
from hscl_fast.method.augment import ROTATIONS, VIEWS

IMAGES = {32: 256, 64: 64, 224: 8}  # by side in pixels
ROUNDS = 15
PATIENCE = 12  # seconds a variant gets before it sits out


@pytest.mark.parametrize("side", IMAGES)
def test_views(benchmark, side):
    """pytest-benchmark times ours; its setup gives every other variant a turn."""
    size = (IMAGES[side], side)
    memory = extra_memory(build_views, list(VIEW_PEERS), (2, side), size)
    variants = {name: build_views(name, size) for name in VIEW_PEERS}
    torch.manual_seed(0)
    views = {name: variant.forward() for name, variant in variants.items()}  # the warm-up
    torch.testing.assert_close(views[OURS], views[RELEASED], atol=1e-4, rtol=0)
    for name, some in views.items():  # what others draw is as bright and as varied as ours
        torch.testing.assert_close(some.mean(), views[OURS_DRAWN].mean(), atol=0.15, rtol=0, msg=name)
        torch.testing.assert_close(some.std(), views[OURS_DRAWN].std(), atol=0.15, rtol=0, msg=name)
    timing = Interleaved(variants, torch.device("cpu"), PATIENCE)
    others = [name for name in variants if name != OURS]
    benchmark.pedantic(timing.time, args=(OURS,), setup=lambda: timing.round(others), rounds=ROUNDS)
    facts = {
        name: {
            **times,
            "memory": memory[name],
            "mean": views[name].mean().item(),
            "std": views[name].std().item(),
        }
        for name, times in timing.summary().items()
    }
    difference = (views[OURS] - views[RELEASED]).abs().max().item()
    rows = IMAGES[side] * VIEWS * ROTATIONS
    benchmark.extra_info.update(side=side, views=rows, device="cpu", difference=difference, variants=facts)
