"""Resolves the device, precision and compile mode of a run."""

from __future__ import annotations

import os
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass

import torch

from hscl_fast.compiling import resolve_mode
from hscl_fast.counted import counted
from hscl_fast.errors import UsageError

_DTYPES = {
    "float32": torch.float32,
    "tf32": torch.float32,
    "bfloat16": torch.bfloat16,
    "float16": torch.float16,
}


@dataclass(frozen=True)
class Execution:
    """The device, precision and compile mode of a network, resolved once per run.

    Parameters
    ----------
    device
        Device of the tensors.
    precision
        dtype that the encoder runs in.
    compile
        ``off`` or a mode of ``torch.compile``: see :func:`hscl_fast.compiling.compile_whole`.
    """

    device: torch.device
    precision: torch.dtype = torch.float32
    compile: str = "off"

    @property
    def precision_name(self) -> str:
        """The dtype without ``torch.``."""
        return str(self.precision).removeprefix("torch.")


def resolve_execution(device: torch.device, *, precision: str, compile: str) -> Execution:
    """Return the execution that ``runtime.precision`` and ``runtime.compile`` select on a device."""
    return Execution(device, resolve_precision(precision, device), resolve_mode(compile, device))


def usable_cores() -> int:
    """Return the number of cores that this process may use, which a container or ``taskset`` can limit."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def resolve_device(name: str, local_rank: int = 0) -> torch.device:
    """Return the device that ``runtime.device`` names.

    ``cuda`` selects the CUDA device number ``local_rank``, and so does ``auto`` if there are CUDA devices.

    Raises
    ------
    UsageError
        The device does not exist on this machine.
    """
    available = torch.cuda.device_count()
    if name == "cpu" or (name == "auto" and not available):
        return torch.device("cpu")
    device = torch.device(name if ":" in name else f"cuda:{local_rank}")
    if device.index >= available:
        who = f"Rank {local_rank} of this machine needs {device}" if local_rank else f"--runtime.device is {name!r}"
        fix = (
            f"Start {counted(available, 'rank')} on this machine"
            if local_rank and available
            else "Use --runtime.device auto"
        )
        raise UsageError(
            f"{who}, but this machine has {counted(available, 'CUDA device')}. {fix}, or use --runtime.device cpu."
        )
    return device


def resolve_precision(name: str, device: torch.device) -> torch.dtype:
    """Return the encoder's dtype.

    ``auto`` is bfloat16 if a GPU supports it, else float16; on a CPU it is bfloat16 with AMX, else float32: with
    AVX512_BF16 alone, convolutions in bfloat16 are the slower ones.
    """
    if name != "auto":
        return _DTYPES[name]
    if device.type == "cuda":
        return torch.bfloat16 if torch.cuda.is_bf16_supported(including_emulation=False) else torch.float16
    return torch.bfloat16 if torch.cpu.get_capabilities().get("amx_bf16") else torch.float32


def encoder_precision(device: torch.device, precision: torch.dtype) -> AbstractContextManager[object]:
    """Return the context in which the encoder runs: autocast to ``precision``, or no autocast for float32."""
    return nullcontext() if precision == torch.float32 else torch.autocast(device.type, precision)
