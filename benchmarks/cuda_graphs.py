"""Captures a variant in CUDA graphs, so that the device is timed and not the host that launches."""

from __future__ import annotations

from typing import Any

import torch

from benchmarks.interleave import Variant

_WARM_UPS = 3  # before a capture, as torch.cuda.make_graphed_callables does


def captured(variant: Variant) -> tuple[Variant, str | None]:
    """Return the variant with its forward and its backward as a CUDA graph each; one that cannot be captured as it is.

    Returns
    -------
    Variant
        Whose results are always the same tensors.
    str or None
        Why it could not be captured, which is the case of those that wait for the device.
    """
    stream = torch.cuda.Stream()
    stream.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(stream):
        for _ in range(_WARM_UPS):
            variant.backward(variant.forward())
    torch.cuda.current_stream().wait_stream(stream)
    forward, backward = torch.cuda.CUDAGraph(), torch.cuda.CUDAGraph()
    try:
        with torch.cuda.graph(forward):
            value = variant.forward()
        with torch.cuda.graph(backward, pool=forward.pool()):
            gradients = variant.backward(value)
    except RuntimeError as error:  # torch's, for what a graph cannot contain
        torch.cuda.synchronize()
        return variant, str(error).strip().splitlines()[0]

    def replay_forward() -> Any:
        forward.replay()
        return value

    def replay_backward(_: Any) -> Any:
        backward.replay()
        return gradients  # which also keeps them in memory

    return Variant(replay_forward, replay_backward), None
