"""torch's global switches, set once for a run."""

from __future__ import annotations

import torch

from hscl_fast.config.sections import RuntimeConfig


def prepare_backends(config: RuntimeConfig) -> None:
    """Set torch's number of threads, TF32 and deterministic kernels as the configuration asks.

    TF32 is allowed with the precision ``tf32`` and with no other: torch by itself allows it in convolutions only.
    """
    # The switches of torch's older interface: Inductor reads these, and to mix the two is an error.
    torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = config.precision == "tf32"
    if config.threads is not None:
        torch.set_num_threads(config.threads)
    torch.backends.cudnn.deterministic = config.deterministic
    torch.backends.cudnn.benchmark = not config.deterministic
