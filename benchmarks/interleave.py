"""Times variants of one computation, turn by turn in one process, so that a busy moment hits them all alike."""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Iterable
from typing import Any, NamedTuple

import torch
from torch import Tensor


class Variant(NamedTuple):
    """``forward()`` returns what ``backward`` takes: for a loss, its scalar."""

    forward: Callable[[], Any]
    backward: Callable[[Any], object]


def differentiable(loss: Callable[[], Tensor], *leaves: Tensor) -> Variant:
    """Return the variant that computes ``loss()`` and then its gradients by ``leaves``."""
    return Variant(loss, lambda value: torch.autograd.grad(value, leaves))


class Interleaved:
    """Seconds and losses of variants, which take turns in a new order each round.

    A variant that has had two turns and ``patience`` seconds sits out the rounds that remain.
    """

    def __init__(self, variants: dict[str, Variant], device: torch.device, patience: float = float("inf")) -> None:
        self.variants = variants
        self.device = device
        self.patience = patience
        self.seconds: dict[str, list[tuple[float, float]]] = {name: [] for name in variants}
        self.losses: dict[str, float] = {}
        self._order = random.Random(0)

    def round(self, names: Iterable[str]) -> None:
        """Time each of ``names`` once, but for those that have had their share."""
        turns = [name for name in names if len(self.seconds[name]) < 2 or self._spent(name) < self.patience]
        for name in self._order.sample(turns, len(turns)):
            self.time(name)

    def time(self, name: str) -> None:
        """Time one forward and one backward."""
        variant = self.variants[name]
        value, forward = self._timed(variant.forward)
        _, backward = self._timed(lambda: variant.backward(value))
        self.seconds[name].append((forward, backward))
        if isinstance(value, Tensor) and not value.dim():
            self.losses[name] = value.item()

    def _spent(self, name: str) -> float:
        return sum(forward + backward for forward, backward in self.seconds[name])

    def _timed(self, call: Callable[[], Any]) -> tuple[Any, float]:
        if self.device.type == "cuda":
            start, stop = (torch.cuda.Event(enable_timing=True) for _ in range(2))
            start.record()
            value = call()
            stop.record()
            stop.synchronize()
            return value, start.elapsed_time(stop) / 1e3
        start_time = time.perf_counter()
        value = call()
        return value, time.perf_counter() - start_time

    def summary(self) -> dict[str, dict[str, Any]]:
        """Return loss, rounds and ``[lower quartile, median, upper quartile]`` in seconds of each variant."""
        return {name: self._summary(name) for name in self.variants}

    def _summary(self, name: str) -> dict[str, Any]:
        forward, backward = torch.tensor(self.seconds[name], dtype=torch.float64).T
        return {
            "loss": self.losses.get(name),
            "rounds": len(forward),
            "forward": _quartiles(forward),
            "backward": _quartiles(backward),
            "total": _quartiles(forward + backward),
        }


def _quartiles(seconds: Tensor) -> list[float]:
    return seconds.quantile(seconds.new_tensor([0.25, 0.5, 0.75])).tolist()


def allocated_beyond(timing: Interleaved, name: str) -> int:
    """Return the peak of the GPU allocator in one turn of a variant, beyond what was there before."""
    timing.time(name)  # compiles and tunes
    torch.cuda.synchronize()
    before = torch.cuda.memory_allocated()
    torch.cuda.reset_peak_memory_stats()
    timing.time(name)
    return torch.cuda.max_memory_allocated() - before
