"""The work that a training step at the paper's batch gives a GPU, and the time predicted from it; nothing is measured.

    device = sum over launches of max(flops / the unit's rate, bytes / memory bandwidth)
    eager  = max(device, launches * LAUNCH) + waits * WAIT
    graph  = device, for the kernels that Inductor plans

with the makers' rates (:mod:`hscl_kernels.gpus`) and, for our own kernels, the audit's times. Caches, which would make
it shorter, are left out, and so is that no kernel quite reaches those rates.
"""

from __future__ import annotations

import functools
from typing import NamedTuple

import torch
from hscl_kernels.audit import cases, report
from hscl_kernels.audit.cases import Case
from hscl_kernels.audit.recording import Launch
from hscl_kernels.gpus import GPUS
from torch._subclasses import FakeTensorMode

from benchmarks.inductor_plan import Plan, plan
from benchmarks.operators import Counted, Operator, count
from benchmarks.released_step import ReleasedStep
from hscl_fast.config.parsing import from_dict
from hscl_fast.config.sections import Config
from hscl_fast.data.loaders.loader import Batch
from hscl_fast.device import Execution
from hscl_fast.method.augment import ROTATIONS, VIEWS
from hscl_fast.method.network import Network, build_network
from hscl_fast.training.step import TrainingStep

IMAGES, SIDE, FEATURES = 256, 32, 128
TARGETS = ("sm_86", "sm_80", "sm_90")
# Assumed: the seconds a host takes to issue an operator from Python, and to learn a value from the device.
LAUNCH, WAIT = 5e-6, 10e-6
RELEASED, OURS, COMPILED = "released, float32, eager", "ours, bfloat16, eager", "ours, bfloat16, compiled"
ENCODER = "our encoder alone, forward and backward, eager"
KERNELS = {  # the launches of our operations
    "augment_views": ("views_kernel",),
    "hscl_loss": ("unit_rows_kernel", "sweep_forward_to_losses_kernel"),
    "hscl_loss_backward": ("sweep_backward_kernel", "input_gradients_kernel"),
}
# Called by Inductor as they are, like convolutions and matrix products.
_KEPT = ("adam", "_foreach_norm", "draw_view_parameters")
_AUDITED = (f"hscl bf16 D{FEATURES}", f"rgb bf16 {SIDE} px")


class Step(NamedTuple):
    """Of one step: ``waits`` by cause; by target, the seconds of the device and of the whole step, both predicted."""

    launches: int
    bytes: float
    flops: float
    waits: dict[str, int]
    device: dict[str, float]
    predicted: dict[str, float]


def steps(images: int = IMAGES) -> dict[str, Step]:
    """Count the released recipe's step in float32, and ours in bfloat16, eager and compiled."""
    config = from_dict({"objective": {"shift_loss": True}, "optim": {"batch_size": images}}, "roofline")
    eager = _ours(config, "off")
    ours = _count_ours(eager)
    return {
        RELEASED: _eager(_count_released(config)),
        OURS: _eager(ours),
        COMPILED: _compiled(ours, plan(functools.partial(_ours(config, "default"), _noise(config)))),
        ENCODER: _eager(_count_encoder(eager)),
    }


def housekeeping(config: Config) -> int:
    """Return the launches of our eager step that are neither the network's, nor our kernels', nor the optimizer's.

    They draw and prepare, weigh and stack the terms (with the rotation loss where it is on), guard and record.
    """
    step = _ours(config, "off")
    counted = _count_ours(step).operators
    others = [operator for operator in counted if operator.name not in (*KERNELS, "adam")]
    return len(others) - len(_count_encoder(step).operators)


def _eager(counted: Counted) -> Step:
    launches = sum(len(KERNELS.get(operator.name, (operator.name,))) for operator in counted.operators)
    device = {target: sum(_seconds(operator, target) for operator in counted.operators) for target in TARGETS}
    waiting = WAIT * sum(counted.waits.values())
    return Step(
        launches,
        sum(operator.bytes for operator in counted.operators),
        sum(operator.flops for operator in counted.operators),
        counted.waits,
        device,
        {target: max(seconds, launches * LAUNCH) + waiting for target, seconds in device.items()},
    )


def _compiled(counted: Counted, planned: Plan) -> Step:
    """Return the step whose library calls and kernels of ours are those counted, and whose others are the planned."""
    called = [operator for operator in counted.operators if operator.flops or operator.name in (*KERNELS, *_KEPT)]
    step = _eager(counted._replace(operators=called))
    generated = sum(planned.generated)
    device = {target: step.device[target] + generated / (GPUS[target].memory * 1e9) for target in TARGETS}
    return step._replace(
        launches=step.launches + len(planned.generated),
        bytes=step.bytes + generated,
        device=device,
        predicted=device,
    )


def _seconds(operator: Operator, target: str) -> float:
    if operator.name in KERNELS:
        return sum(_audited(target)[kernel] for kernel in KERNELS[operator.name])
    gpu = GPUS[target]
    # By torch's own choice float32 convolutions are TF32, and float32 matrix products are not.
    rate = {"half": gpu.half, "convolution": gpu.tf32, "single": gpu.single}[operator.unit] * 1e12
    return max(operator.flops / rate, operator.bytes / (gpu.memory * 1e9))


def launched(target: str) -> list[tuple[Case, Launch]]:
    """Return what our operations launch at this batch on a target."""
    rows = VIEWS * ROTATIONS * IMAGES
    step = [case for case in cases.cases(rows) if case.name in _AUDITED and case.form == "single"]
    return report.launches(step, target)


@functools.cache
def _audited(target: str) -> dict[str, float]:
    """Predicted seconds of our kernels at this batch, by name."""
    return {row["kernel"]: row["predicted_us"] / 1e6 for row in report.compiled(launched(target))}


def _count_ours(step: TrainingStep) -> Counted:
    """Count on tensors without values: what needs one to go on would raise an error."""
    with FakeTensorMode(allow_non_fake_inputs=True) as mode:
        batch = Batch(*(mode.from_tensor(tensor) for tensor in _noise(step.config)))
        return count(lambda: step(batch))


def _count_encoder(step: TrainingStep) -> Counted:
    weights = [parameter for parameter in step.parameters if parameter is not step.model.prototypes]
    with FakeTensorMode(allow_non_fake_inputs=True):
        rows = VIEWS * step.config.augment.rotations * step.config.optim.batch_size
        views = torch.empty(rows, 3, SIDE, SIDE, dtype=torch.bfloat16, memory_format=torch.channels_last)

        def encode() -> None:
            with torch.autocast("cpu", torch.bfloat16):
                features = step.model(views)
            heads = [head for head in (features.embeddings, features.rotation_logits) if head is not None]
            torch.autograd.grad(heads, weights, [torch.empty_like(head) for head in heads])

        return count(encode)


def _count_released(config: Config) -> Counted:
    """Count a real step, whose shapes depend on values."""
    step = ReleasedStep(_model(config))
    images, roles, _ = _noise(config)
    step(images[:8], roles[:8])  # makes the optimizer's state
    host = [state["step"] for state in step.optimizer.state.values()]
    return count(lambda: step(images, roles), on_host=host)


def _ours(config: Config, compile: str) -> TrainingStep:
    return TrainingStep(
        config, _model(config), Execution(torch.device("cpu"), torch.bfloat16, compile), total_steps=1000
    )


def _model(config: Config) -> Network:
    model = build_network(config.model, SIDE, rotation_head=config.objective.shift_loss, seed=0)
    model.to(memory_format=torch.channels_last).train()
    return model


def _noise(config: Config) -> Batch:
    images = config.optim.batch_size
    random = torch.Generator().manual_seed(0)
    pixels = torch.randint(0, 256, (images, SIDE, SIDE, 3), dtype=torch.uint8, generator=random)
    return Batch(pixels, torch.tensor([1, -1, 0, 0, 0, 0, 0, 0]).repeat(images // 8), torch.arange(images))
