"""Estimates the cost of a configuration on this machine from a few real steps on noise."""

from __future__ import annotations

import ctypes
import gc
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import NamedTuple

import torch

from hscl_fast.config.sections import Config
from hscl_fast.counted import counted
from hscl_fast.data.loaders.choose import choose_loader
from hscl_fast.data.open import open_split
from hscl_fast.data.split.split import Split
from hscl_fast.data.types import Remark
from hscl_fast.device import resolve_execution
from hscl_fast.doctor.machine import random_training_images
from hscl_fast.errors import UsageError
from hscl_fast.method.augment import VIEWS
from hscl_fast.method.encode import encode_images
from hscl_fast.method.network import build_network
from hscl_fast.runs.image_size import resolve_image_size
from hscl_fast.training.recorder import SilentRecorder
from hscl_fast.training.schedule import schedule_length
from hscl_fast.training.trainer import Trainer

_DEFAULT_SIDE = 32  # pixels, the default size of images in folders
_MOST_STEPS = 5  # after the warm-up step
_PATIENCE = 10.0  # seconds
_ENCODED = 32  # images; enough for a rate, and few enough for a large encoder on a CPU
_PROCESS = Path("/proc/self")


class OutOfMemory(Exception):
    """A training step does not fit in the device's memory."""


@dataclass(frozen=True)
class Estimate:
    """The measured cost of a training step, and the length of the whole run that follows from it.

    Parameters
    ----------
    data
        The data that the estimate is for, in words.
    encoder, parameters, precision, image_size
        The network, its number of parameters, the dtype it runs in, the images' side in pixels.
    batch_size, rows
        Images per step, and rows per step: views that go through the encoder, or features that did so before.
    steps_measured, seconds_per_step
        The number of timed steps, and their mean time.
    extra_bytes
        Peak memory beyond what the process held before: weights, optimizer, activations. None if it cannot be measured.
    seconds_per_view
        Mean time of the frozen encoder for one view, if features are cached; otherwise None.
    encoded_views
        Views that it sees, once each, before the first step; None without a cache or without the data.
    training_images, total_steps, total_seconds
        Of the whole run; None where it depends on data that could not be opened. The seconds count encoding and steps.
    loader
        The loader kind that the run would use, and why.
    """

    data: str
    encoder: str
    parameters: int
    precision: str
    image_size: int
    batch_size: int
    rows: int
    steps_measured: int
    seconds_per_step: float
    extra_bytes: int | None
    seconds_per_view: float | None
    encoded_views: int | None
    training_images: int | None
    total_steps: int | None
    total_seconds: float | None
    loader: str | None


class Plan(NamedTuple):
    """The part of an :class:`Estimate` that is known before measuring, with the same fields."""

    data: str
    parameters: int
    image_size: int
    batch_size: int
    encoded_views: int | None
    training_images: int | None
    total_steps: int | None
    loader: str | None


class Costs(NamedTuple):
    """What was measured: the time of each step, the time of the encoder per cached view, and the extra memory."""

    step_seconds: list[float]
    seconds_per_view: float | None
    extra_bytes: int | None


def plan_estimate(
    config: Config,
    device: torch.device,
    *,
    named: bool,
    remark: Callable[[Remark], None] = lambda remark: None,
) -> Plan:
    """Open a configuration's data and build its network, so that errors in them show before anything is measured.

    Parameters
    ----------
    config
        Configuration of the run.
    device
        Device of the run.
    named
        Whether the user named the data, which then must exist.
    remark
        Called with what is worth saying on how the data was read.

    Raises
    ------
    UsageError
        The data that was named cannot be opened, the configuration cannot run here, or is of another method.
    """
    if not config.method.is_hscl:
        raise UsageError(
            f"--method is {config.method.name!r}, whose cost is not estimated: a comparator with a network passes as "
            "many views through it as hscl does. Leave --method out for what hscl takes."
        )
    config = replace(config, data=replace(config.data, image_size=resolve_image_size(config.data, config.model)))
    split, description = _open(config, named=named)
    for said in () if split is None else split.remarks:
        remark(said)
    count = None if split is None else len(split.training.images)
    size = config.data.image_size or _DEFAULT_SIDE if split is None else int(split.training.images.shape[1])
    batch_size = config.optim.batch_size if count is None else min(config.optim.batch_size, count)
    steps = config.optim.max_steps
    if count is not None and batch_size:
        steps = schedule_length(config.optim, count // batch_size)
    head = config.objective.shift_loss
    model = build_network(config.model, size, rotation_head=head, seed=config.runtime.seed)
    views = config.augment.cached_views
    chosen, encoded = None, None
    if split is not None and views is None:
        chosen = choose_loader(config.data, config.runtime, split, device)
    elif split is not None and views is not None:
        encoded = views * len(split.training.images) + len(split.held_out.images)
    return Plan(
        description,
        sum(parameter.numel() for parameter in model.parameters()),
        size,
        batch_size,
        encoded,
        count,
        steps,
        None if chosen is None else f"{chosen.kind}: {chosen.reason}",
    )


def measure(plan: Plan, config: Config, device: torch.device) -> Estimate:
    """Time some training steps on noise of the images' size.

    Raises
    ------
    OutOfMemory
        A step does not fit in the device's memory.
    """
    try:
        costs, trainer = _measure(config, device, plan.batch_size, plan.image_size)
    except torch.OutOfMemoryError as error:
        raise OutOfMemory(
            f"a step of {plan.batch_size} images of {plan.image_size} px does not fit in the memory of {device}"
        ) from error
    mean = sum(costs.step_seconds) / len(costs.step_seconds)
    encoding = (plan.encoded_views or 0) * (costs.seconds_per_view or 0.0)
    return Estimate(
        **plan._asdict(),
        encoder=config.model.encoder,
        precision=trainer.execution.precision_name,
        rows=VIEWS * config.augment.rotations * plan.batch_size,
        steps_measured=len(costs.step_seconds),
        seconds_per_step=mean,
        extra_bytes=costs.extra_bytes,
        seconds_per_view=costs.seconds_per_view,
        total_seconds=None if plan.total_steps is None else encoding + plan.total_steps * mean,
    )


def _open(config: Config, *, named: bool) -> tuple[Split | None, str]:
    """Return the split, or None if it cannot be opened, and a description of the data."""
    try:
        split = open_split(config.data)
    except UsageError as error:
        if named:
            raise
        size = config.data.image_size or _DEFAULT_SIDE
        return None, f"images of {size} px, assumed: {config.data.name} cannot be opened here ({error})"
    size = split.training.images.shape[1]
    return split, f"{config.data.name}: {counted(len(split.training.images), 'training image')} of {size} px"


def _measure(config: Config, device: torch.device, count: int, size: int) -> tuple[Costs, Trainer]:
    """Return the costs of some steps, and the trainer; the first step is used only if no other was timed."""
    before = _begin_memory(device)
    execution = resolve_execution(device, precision=config.runtime.precision, compile=config.runtime.compile)
    trainer = Trainer(config, random_training_images(count, size), SilentRecorder(), execution)
    trainer.model.train()
    per_view = None if config.augment.cached_views is None else _encode(trainer, config, count, size)
    times: list[float] = []
    begun = time.perf_counter()
    for batch in trainer.loader.batches(0, 1 + _MOST_STEPS):
        start = time.perf_counter()
        trainer.step(batch)
        if device.type == "cuda":
            torch.cuda.synchronize(device)
        times.append(time.perf_counter() - start)
        if len(times) == 1 and execution.compile != "off":
            begun = time.perf_counter()  # the first step was mostly compilation
        if time.perf_counter() - begun > _PATIENCE:
            break
    return Costs(times[1:] or times, per_view, _extra_memory(device, before)), trainer


def _encode(trainer: Trainer, config: Config, count: int, size: int) -> float:
    """Give the trainer features to train on, and return the encoder's mean seconds per view.

    The features of a few images stand for those of all.
    """
    views = config.augment.cached_views
    assert views is not None
    some = random_training_images(min(count, _ENCODED), size).images

    def encode(images: int) -> torch.Tensor:
        return encode_images(trainer.model, some[:images], config.augment, trainer.execution, views=views, seed=0)

    encode(1)  # the first pass is slower
    start = time.perf_counter()
    features = encode(len(some))
    seconds = time.perf_counter() - start
    trainer.use_features(features[torch.arange(count) % len(some)])
    return seconds / (views * len(some))


def _begin_memory(device: torch.device) -> int | None:
    """Reset the peak of the memory; return the bytes held now, or None if they cannot be measured."""
    gc.collect()
    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats(device)
        return torch.cuda.memory_allocated(device)
    try:
        ctypes.CDLL(None).malloc_trim(0)  # memory that earlier checks freed would hide growth
        (_PROCESS / "clear_refs").write_text("5")  # Linux: resets the highest resident size
        return _resident("VmRSS")
    except (OSError, AttributeError, StopIteration):
        return None


def _extra_memory(device: torch.device, before: int | None) -> int | None:
    if before is None:
        return None
    most = torch.cuda.max_memory_allocated(device) if device.type == "cuda" else _resident("VmHWM")
    return max(most - before, 0)


def _resident(name: str) -> int:
    lines = (_PROCESS / "status").read_text().splitlines()
    return 1024 * next(int(line.split()[1]) for line in lines if line.startswith(f"{name}:"))
