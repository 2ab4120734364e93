"""The forms of an operation, and the devices on which each runs."""

from __future__ import annotations

import importlib.util
import os
from typing import Literal

import torch

Backend = Literal["auto", "reference", "cpu", "triton"]
_BACKENDS = ("auto", "reference", "cpu", "triton")

HAS_TRITON = importlib.util.find_spec("triton") is not None
INTERPRETED = os.environ.get("TRITON_INTERPRET") == "1"  # Triton reads it once, when kernels are defined


def resolve(backend: str, device: torch.device) -> str:
    """Return the form that ``backend`` means on ``device``.

    Parameters
    ----------
    backend
        ``auto``: ``triton`` on a GPU where Triton is installed, ``cpu`` on the CPU, else ``reference``. Or one by name.
    device
        Device of the inputs.

    Returns
    -------
    str
        ``reference``, ``cpu`` or ``triton``.

    Raises
    ------
    ValueError
        The backend is unknown or cannot run on this device.
    """
    if backend not in _BACKENDS:
        raise ValueError(f"backend is {backend!r}, expected one of {', '.join(_BACKENDS)}")
    if backend == "auto":
        if device.type == "cpu":
            return "cpu"
        return "triton" if device.type == "cuda" and HAS_TRITON else "reference"
    if backend == "cpu" and device.type != "cpu":
        raise ValueError(
            f"backend is 'cpu', but the inputs are on {device}: use backend='auto', or move them to the CPU"
        )
    if backend == "triton":
        if not HAS_TRITON:
            raise ValueError("backend is 'triton', but Triton is not installed: use backend='auto', or install triton")
        if device.type == "cpu" and not INTERPRETED:
            raise ValueError(
                "backend is 'triton', but the inputs are on the CPU: move them to a GPU, use backend='auto', or set "
                "TRITON_INTERPRET=1 before Python starts to run the kernels in Triton's (slow) interpreter"
            )
    return backend
