"""Sets torch's global switches, once per run."""

from __future__ import annotations

import torch

from hscl_fast.config.sections import RuntimeConfig
from hscl_fast.counted import counted
from hscl_fast.device import usable_cores
from hscl_fast.errors import UsageError


def prepare_backends(config: RuntimeConfig) -> None:
    """Set torch's number of threads, TF32 and deterministic kernels as configured.

    The number of threads is limited to the cores of this machine, because the run may come from a larger one. TF32 is
    allowed only with the precision ``tf32``; by default torch allows it in convolutions.
    """
    # These switches belong to torch's older interface, which Inductor reads; mixing it with the newer one is an error.
    torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = config.precision == "tf32"
    if config.threads is not None:
        torch.set_num_threads(min(config.threads, usable_cores()))
    torch.backends.cudnn.deterministic = config.deterministic
    torch.backends.cudnn.benchmark = not config.deterministic


def require_threads(config: RuntimeConfig) -> None:
    """Raise a :class:`UsageError` if more threads are configured than there are cores."""
    cores = usable_cores()
    if config.threads is not None and config.threads > cores:
        raise UsageError(
            f"--runtime.threads is {config.threads}, but this process may use {counted(cores, 'core')}, and more "
            f"threads than cores only slow it down. Give a number from 1 to {cores}, or leave the flag out."
        )
