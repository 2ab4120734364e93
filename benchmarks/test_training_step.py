"""How long does a training step take beside the released recipe's, and what share of it is not the encoder's?"""

import pytest
import torch
from hscl_kernels import augment_views

from benchmarks.interleave import Interleaved, Variant
from benchmarks.memory import extra_memory
from benchmarks.released_step import ReleasedStep
from hscl_fast.config.parsing import from_dict
from hscl_fast.data.loaders.resident import ResidentLoader
from hscl_fast.data.types import TrainingImages
from hscl_fast.device import Execution
from hscl_fast.method.augment import draw_views
from hscl_fast.method.network import build_network
from hscl_fast.method.objective import compute_loss
from hscl_fast.training.step import TrainingStep

CPU = torch.device("cpu")
SIDE = 32
SIZES = {"resnet18 of 16 channels, 64 images": (16, 64), "resnet18 of 64 channels, 16 images": (64, 16)}
ROUNDS = 7
PATIENCE = 25  # seconds a variant gets before it sits out
OURS, RELEASED, ENCODER = "whole step", "released step, eager", "encoder, forward and backward"


def make_step(width, images):
    """A training step on noise, with the rotation loss that the released recipe has too."""
    config = from_dict(
        {"model": {"width": width}, "objective": {"shift_loss": True}, "optim": {"batch_size": images}}, "benchmark"
    )
    random = torch.Generator().manual_seed(0)
    pixels = torch.randint(0, 256, (4 * images, SIDE, SIDE, 3), dtype=torch.uint8, generator=random)
    roles = torch.zeros(4 * images, dtype=torch.int8)
    roles[::8], roles[1::8] = 1, -1
    model = build_network(config.model, SIDE, rotation_head=True, seed=0)
    model.to(memory_format=torch.channels_last).train()
    loader = ResidentLoader(TrainingImages(pixels.numpy(), roles.numpy()), images, seed=0, device=CPU)
    return TrainingStep(config, model, Execution(CPU), total_steps=1000), loader


def parts_of(step, loader, batch):
    """The step's parts one by one, on inputs that the part before left."""
    parameters = draw_views(step.config.augment, batch.indices, seed=step.seed, step=step.step, size=(SIDE, SIDE))
    views = augment_views(batch.images, parameters)
    with torch.no_grad():
        features = step.model(views)
    leaves = [part.detach().requires_grad_() for part in (features.embeddings, features.rotation_logits)]
    weights = [parameter for name, parameter in step.model.named_parameters() if name != "prototypes"]
    flow = [torch.randn_like(leaf) for leaf in leaves]
    gradients = [torch.randn_like(parameter) for parameter in step.parameters]

    def render():
        drawn = draw_views(step.config.augment, batch.indices, seed=step.seed, step=step.step, size=(SIDE, SIDE))
        return augment_views(batch.images, drawn)

    def encode():
        outputs = step.model(views)
        return torch.autograd.grad([outputs.embeddings, outputs.rotation_logits], weights, flow)

    def compare():
        losses = compute_loss(
            step.config.objective, leaves[0], step.model.prototypes, leaves[1], batch.roles, parameters.rotation,
            seed=step.seed, step=step.step,
        )  # fmt: skip
        return torch.autograd.grad(losses[0], [*leaves, step.model.prototypes])

    def update():
        step.guard.remember_statistics()
        return step.guard.update(torch.ones(()), [gradient.clone() for gradient in gradients])

    return {
        "loader": lambda: next(loader.batches(1, 2)),
        "draws and views": render,
        ENCODER: encode,
        "objective, forward and backward": compare,
        "guarded update": update,
    }


def build(name, size):
    """A whole step of ours or the released one, for measuring memory in a process of its own."""
    step, loader = make_step(*size)
    batch = next(loader.batches(0, 1))
    if name == OURS:
        return Variant(lambda: step(batch), lambda _: None)
    released = ReleasedStep(step.model)
    return Variant(lambda: released(batch.images, batch.roles), lambda _: None)


@pytest.mark.parametrize("name", SIZES)
def test_training_step(benchmark, name):
    """pytest-benchmark times the whole step; its setup gives every part and the released step a turn."""
    width, images = SIZES[name]
    step, loader = make_step(width, images)
    batch = next(loader.batches(0, 1))
    released = ReleasedStep(make_step(width, images)[0].model)
    calls = {
        OURS: lambda: step(batch),
        RELEASED: lambda: released(batch.images, batch.roles),
        **parts_of(step, loader, batch),
    }
    for call in calls.values():
        call()
    first = {OURS: step.read_metrics()["total"], RELEASED: released(batch.images, batch.roles).item()}
    timing = Interleaved({key: Variant(call, lambda _: None) for key, call in calls.items()}, CPU, PATIENCE)
    others = [key for key in calls if key != OURS]
    benchmark.pedantic(timing.time, args=(OURS,), setup=lambda: timing.round(others), rounds=ROUNDS)
    memory = extra_memory(build, [OURS, RELEASED], (width, 8), (width, images))
    variants = {
        key: {**row, "loss": first.get(key), "memory": memory.get(key)} for key, row in timing.summary().items()
    }
    benchmark.extra_info.update(encoder=name, views=8 * images, device="cpu", variants=variants)
