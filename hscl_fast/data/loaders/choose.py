"""Chooses the loader of a run, and gives the reason."""

from __future__ import annotations

import shlex
from dataclasses import fields
from pathlib import Path
from typing import Literal, NamedTuple

import numpy as np
import torch

from hscl_fast.config.sections import NOT_PREPARED, DataConfig, RuntimeConfig
from hscl_fast.data.beton.ffcv_import import INSTALL, ffcv_is_installed, import_ffcv
from hscl_fast.data.beton.reader import Beton
from hscl_fast.data.loaders.ffcv import BetonLoader
from hscl_fast.data.loaders.loader import Loader
from hscl_fast.data.loaders.memory import GIB, free_memory
from hscl_fast.data.loaders.order import WHOLE, Share
from hscl_fast.data.loaders.resident import ResidentLoader
from hscl_fast.data.loaders.workers import TorchLoader
from hscl_fast.data.split.split import Split
from hscl_fast.data.types import AnyImages, LazyImages, TrainingImages
from hscl_fast.errors import UsageError

LoaderKind = Literal["resident", "ffcv", "torch"]


class Choice(NamedTuple):
    """A loader and the reason for it."""

    kind: LoaderKind
    reason: str


def choose_loader(data: DataConfig, runtime: RuntimeConfig, split: Split, device: torch.device) -> Choice:
    """Return the loader that ``runtime.loader`` names; ``auto``: the fastest one that can serve these images.

    Parameters
    ----------
    data
        Used to name the command that prepares the data.
    runtime
        ``loader`` and ``resident_gib`` are used.
    split
        The images, in memory or not.
    device
        Device of the training.

    Raises
    ------
    UsageError
        ``ffcv`` is requested, but the data is not a ``.beton`` or FFCV is not installed.
    """
    is_beton = _is_beton(split.training.images)
    if runtime.loader == "ffcv":
        if not is_beton:
            raise UsageError(
                f"--runtime.loader is 'ffcv', which reads .beton files, but --data.name is {data.name!r}. Make one "
                f"with `{prepare_command(data)}` and train on that, or leave --runtime.loader out."
            )
        import_ffcv()
    if runtime.loader != "auto":
        return Choice(runtime.loader, "as set by --runtime.loader")
    fits, reason = _fits(runtime, split, device)
    if fits:
        return Choice("resident", reason)
    if is_beton and ffcv_is_installed():
        return Choice("ffcv", reason)
    advice = f"install FFCV: {INSTALL}" if is_beton else f"prepare the data: {prepare_command(data)}"
    return Choice("torch", f"{reason}; to train faster, {advice}")


def is_held_in_memory(runtime: RuntimeConfig, split: Split, device: torch.device) -> bool:
    """Return whether a run keeps its images in memory, because ``resident`` is requested or chosen."""
    return runtime.loader == "resident" or (runtime.loader == "auto" and _fits(runtime, split, device)[0])


def make_loader(
    kind: LoaderKind,
    training: TrainingImages,
    runtime: RuntimeConfig,
    batch_size: int,
    device: torch.device,
    share: Share = WHOLE,
) -> Loader:
    """Return a loader of this process's share of the training images; all kinds give the same batches."""
    if kind == "resident":
        return ResidentLoader(training, batch_size, seed=runtime.seed, device=device, share=share)
    other = BetonLoader if kind == "ffcv" else TorchLoader
    return other(training, batch_size, seed=runtime.seed, device=device, workers=runtime.workers, share=share)


def prepare_command(data: DataConfig) -> str:
    """Return the command that makes a ``.beton`` of this data."""
    flags = [
        f"--{field.name} {shlex.quote(str(getattr(data, field.name)))}"
        for field in fields(DataConfig)
        if field.name not in NOT_PREPARED and getattr(data, field.name) != field.default
    ]
    name = Path(data.name)
    out = f"{name.stem if name.suffix else name.name}.beton"
    return " ".join(["hscl data prepare", shlex.quote(data.name), "--out", shlex.quote(out), *flags])


def _is_beton(images: AnyImages) -> bool:
    return isinstance(images, LazyImages) and isinstance(images.reader, Beton)


def _fits(runtime: RuntimeConfig, split: Split, device: torch.device) -> tuple[bool, str]:
    """Return whether the training images fit the device's budget, and those not yet read the machine's."""
    parts = (split.training.images, split.held_out.images, split.test.images)
    unread = sum(images.nbytes for images in parts if not isinstance(images, np.ndarray))
    needs = {torch.device("cpu"): unread}
    if device.type == "cuda":
        needs[device] = split.training.images.nbytes
    for place, needed in needs.items():
        budget, source = _budget(runtime, place)
        if needed > budget:
            return False, f"{_amount(needed)} of images exceed the budget of {_amount(budget)} ({source})"
    if not unread and device.type == "cpu":
        return True, "the images are already in memory"
    return True, f"{_amount(max(needs.values()))} of images fit in memory"


def _budget(runtime: RuntimeConfig, place: torch.device) -> tuple[int, str]:
    if runtime.resident_gib is not None:
        return int(runtime.resident_gib * GIB), "--runtime.resident_gib"
    where = "the GPU's" if place.type == "cuda" else "the machine's"
    return free_memory(place) // 2, f"half of {where} free memory"


def _amount(count: int) -> str:
    return f"{count / GIB:,.1f} GiB" if count >= GIB else f"{count / (1 << 20):,.1f} MiB"
