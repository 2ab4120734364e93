"""Measures the time that a call takes on a device."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable

import torch

_PATIENCE = 0.25  # seconds, and at least one call


def milliseconds(work: Callable[[], object], device: torch.device) -> float:
    """Return the median time of a call in milliseconds, after a warm-up call; on a GPU, until it has finished."""
    work()
    times: list[float] = []
    _wait(device)
    begun = time.perf_counter()
    while not times or time.perf_counter() - begun < _PATIENCE:
        start = time.perf_counter()
        work()
        _wait(device)
        times.append(time.perf_counter() - start)
    return 1000 * statistics.median(times)


def _wait(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize(device)
