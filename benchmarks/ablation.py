"""Training steps that differ from what training does by one speed feature each."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Any, NamedTuple

import torch
from torch import Tensor

from hscl_fast.config.parsing import from_dict
from hscl_fast.data.loaders.resident import ResidentLoader
from hscl_fast.data.types import TrainingImages
from hscl_fast.device import Execution
from hscl_fast.method.network import build_network
from hscl_fast.training.optimizer import FusedAdam
from hscl_fast.training.step import TrainingStep

BASE = "all features"


class Without(NamedTuple):
    """How a variant differs: fields of the configuration, and settings that are not in it."""

    config: Mapping[str, dict[str, Any]] = MappingProxyType({})
    compile: str | None = None
    precision: torch.dtype | None = None
    channels_last: bool = True
    plain_adam: bool = False


FEATURES = {
    "fused objective": Without({"objective": {"backend": "reference"}}),
    "fused views": Without({"augment": {"backend": "reference"}}),
    "channels_last": Without(channels_last=False),
    "fused optimizer": Without(plain_adam=True),
}
GPU_FEATURES = {
    **FEATURES,
    "compiling (eager)": Without(compile="off"),
    "bfloat16 (float32)": Without(precision=torch.float32),
}


class PlainAdam(FusedAdam):
    """Adam parameter by parameter, in eager operations."""

    @torch.no_grad()
    def update(self, gradients: Sequence[Tensor | None], *, divisor: Tensor, skip: Tensor) -> None:
        """As :meth:`FusedAdam.update`, but without skipping and without weight decay."""
        self.updates += 1
        first_share, second_share = 1 - 0.9**self.updates, 1 - 0.999**self.updates
        moments = zip(self.first_moments, self.second_moments, strict=True)
        for parameter, gradient, (first, second) in zip(self.parameters, gradients, moments, strict=True):
            if gradient is not None:
                first.lerp_(gradient / divisor, 0.1)
                second.lerp_((gradient / divisor).square(), 0.001)
                parameter -= self.rate * (first / first_share) / ((second / second_share).sqrt() + 1e-8)


def make_step(
    without: Without, device: torch.device, *, width: int, images: int, side: int, precision: torch.dtype, compile: str
) -> tuple[TrainingStep, ResidentLoader]:
    """Return the step of a variant, and a loader of noise with all three roles."""
    sections: dict[str, dict[str, Any]] = {"model": {"width": width}, "optim": {"batch_size": images}}
    config = from_dict({**sections, **without.config}, "ablation")
    random = torch.Generator().manual_seed(0)
    pixels = torch.randint(0, 256, (4 * images, side, side, 3), dtype=torch.uint8, generator=random)
    roles = torch.tensor([1, -1, 0, 0, 0, 0, 0, 0], dtype=torch.int8).repeat(images // 2)
    model = build_network(config.model, side, rotation_head=False, seed=0).to(device)
    if without.channels_last:
        model.to(memory_format=torch.channels_last)
    model.train()
    step = TrainingStep(
        config,
        model,
        Execution(device, without.precision or precision, without.compile or compile),
        total_steps=1000,
    )
    if not without.channels_last:
        step.forward = lambda views: model(views.contiguous())
    if without.plain_adam:
        step.optimizer = step.guard.optimizer = PlainAdam(step.parameters, weight_decay=0.0)
    return step, ResidentLoader(TrainingImages(pixels.numpy(), roles.numpy()), images, seed=0, device=device)
