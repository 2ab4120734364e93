"""Which device a run uses and in which precision its encoder runs there."""

from __future__ import annotations

import torch

from hscl_fast.config import RuntimeConfig
from hscl_fast.errors import UsageError

_DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16, "float16": torch.float16}


def resolve_device(name: str) -> torch.device:
    """Return the device that ``runtime.device`` names; ``auto`` is the first CUDA device, or else the CPU.

    Raises
    ------
    UsageError
        If the device does not exist on this machine.
    """
    available = torch.cuda.device_count()
    if name == "auto":
        return torch.device("cuda", 0) if available else torch.device("cpu")
    if name == "cpu":
        return torch.device("cpu")
    device = torch.device(name if ":" in name else "cuda:0")
    if device.index >= available:
        raise UsageError(
            f"--runtime.device is {name!r}, but this machine has {available} CUDA device(s). Use --runtime.device cpu "
            "or auto."
        )
    return device


def resolve_precision(name: str, device: torch.device) -> torch.dtype:
    """Return the encoder's dtype; ``auto``: bfloat16 where the device computes in it, else float16 on a GPU."""
    if name != "auto":
        return _DTYPES[name]
    if device.type == "cuda":
        return torch.bfloat16 if torch.cuda.is_bf16_supported(including_emulation=False) else torch.float16
    return torch.bfloat16 if torch.cpu.get_capabilities().get("avx512_bf16") else torch.float32


def prepare_backends(config: RuntimeConfig) -> None:
    """Set torch's global switches (threads, deterministic kernels) as the configuration asks."""
    if config.threads is not None:
        torch.set_num_threads(config.threads)
    torch.backends.cudnn.deterministic = config.deterministic
    torch.backends.cudnn.benchmark = not config.deterministic
