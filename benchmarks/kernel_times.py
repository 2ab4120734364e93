"""The time of each GPU kernel of a variant, and the rate at which the sweeps do their products."""

from __future__ import annotations

from typing import Any

import torch
from torch.profiler import ProfilerActivity, profile

from benchmarks.interleave import Variant

_TURNS = 10
# Floating-point operations of the products, in units of N^2 D: forward one half of the symmetric matrix, backward two
# products for all of it.
SWEEPS = {"sweep_forward": 1, "sweep_backward": 4}


def kernel_times(variant: Variant, rows: int, features: int) -> dict[str, dict[str, float]]:
    """Return, for each kernel, its ``launches`` and ``seconds`` in one forward and backward, and ``tflops`` per second.

    ``tflops`` is there for the sweeps only: the operations of the products they cannot avoid, by their time.
    """
    variant.backward(variant.forward())
    torch.cuda.synchronize()
    with profile(activities=[ProfilerActivity.CUDA]) as profiler:
        for _ in range(_TURNS):
            variant.backward(variant.forward())
        torch.cuda.synchronize()
    return rates(profiler.key_averages(), rows, features)


def rates(events: Any, rows: int, features: int) -> dict[str, dict[str, float]]:
    """Return :func:`kernel_times` from the profiler's averages over :data:`_TURNS` turns, slowest first."""
    times: dict[str, dict[str, float]] = {}
    for event in sorted(events, key=lambda event: -event.device_time_total):
        seconds = event.device_time_total / 1e6 / _TURNS
        if not seconds:
            continue
        times[event.key] = {"launches": event.count / _TURNS, "seconds": seconds}
        for sweep, products in SWEEPS.items():
            if event.key.startswith(sweep):
                times[event.key]["tflops"] = products * rows**2 * features / seconds / 1e12
    return times
