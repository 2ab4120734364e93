"""Which device a run uses and in which precision its encoder runs there."""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext

import torch

from hscl_fast.errors import UsageError

_DTYPES = {
    "float32": torch.float32,
    "tf32": torch.float32,
    "bfloat16": torch.bfloat16,
    "float16": torch.float16,
}


def resolve_device(name: str, local_rank: int = 0) -> torch.device:
    """Return the device that ``runtime.device`` names.

    ``cuda`` is the CUDA device number ``local_rank``, and so is ``auto`` where there are CUDA devices.

    Raises
    ------
    UsageError
        If the device does not exist on this machine.
    """
    available = torch.cuda.device_count()
    if name == "cpu" or (name == "auto" and not available):
        return torch.device("cpu")
    device = torch.device(name if ":" in name else f"cuda:{local_rank}")
    if device.index >= available:
        who = f"Rank {local_rank} of this machine needs {device}" if local_rank else f"--runtime.device is {name!r}"
        mend = f"Start {available} ranks here" if local_rank and available else "Use --runtime.device auto"
        raise UsageError(
            f"{who}, but this machine has {available} CUDA device(s). {mend}, or use --runtime.device cpu."
        )
    return device


def resolve_precision(name: str, device: torch.device) -> torch.dtype:
    """Return the encoder's dtype; ``auto``: bfloat16 where the device computes in it, else float16 on a GPU."""
    if name != "auto":
        return _DTYPES[name]
    if device.type == "cuda":
        return torch.bfloat16 if torch.cuda.is_bf16_supported(including_emulation=False) else torch.float16
    return torch.bfloat16 if torch.cpu.get_capabilities().get("avx512_bf16") else torch.float32


def encoder_precision(device: torch.device, precision: torch.dtype) -> AbstractContextManager[object]:
    """Return the context in which the encoder runs: autocast to ``precision``, nothing for float32."""
    return nullcontext() if precision == torch.float32 else torch.autocast(device.type, precision)
