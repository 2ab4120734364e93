"""torch's global switches, set once for a run."""

from __future__ import annotations

import torch

from hscl_fast.config.sections import RuntimeConfig
from hscl_fast.device import usable_cores
from hscl_fast.errors import UsageError


def prepare_backends(config: RuntimeConfig) -> None:
    """Set torch's number of threads, TF32 and deterministic kernels as the configuration asks.

    A run from a machine with more cores gets as many threads as there are cores here.

    TF32 is allowed with the precision ``tf32`` and with no other: torch by itself allows it in convolutions only.
    """
    # The switches of torch's older interface: Inductor reads these, and to mix the two is an error.
    torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = config.precision == "tf32"
    if config.threads is not None:
        torch.set_num_threads(min(config.threads, usable_cores()))
    torch.backends.cudnn.deterministic = config.deterministic
    torch.backends.cudnn.benchmark = not config.deterministic


def require_threads(config: RuntimeConfig) -> None:
    """Raise a :class:`UsageError` where more threads are asked for than there are cores."""
    cores = usable_cores()
    if config.threads is not None and config.threads > cores:
        raise UsageError(
            f"--runtime.threads is {config.threads}, but this process may use {cores} cores, and more threads than "
            f"cores only slow it down. Give a number from 1 to {cores}, or leave the flag out."
        )
