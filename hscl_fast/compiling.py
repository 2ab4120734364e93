"""Compiles a whole function into one graph, for training and scoring."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import ParamSpec, TypeVar

import torch
from torch import Tensor

from hscl_fast.errors import UsageError

P = ParamSpec("P")
R = TypeVar("R")

MODES = ("off", "default", "max-autotune", "reduce-overhead")


def resolve_mode(mode: str, device: torch.device) -> str:
    """Return the mode that ``runtime.compile`` selects; ``auto`` is ``default`` on a GPU and ``off`` on the CPU.

    On the CPU compiling takes a minute or more and saves little, because most of the time goes into the encoder's
    convolutions, which it does not change.
    """
    if mode != "auto":
        return mode
    return "default" if device.type == "cuda" else "off"


def keep_addresses(tensors: Iterable[Tensor]) -> None:
    """Promise the compiler that these tensors, which a compiled function changes in place, never move in memory.

    Without this promise torch does not capture a CUDA graph of such a function.
    """
    for tensor in tensors:
        torch._dynamo.mark_static_address(tensor, guard=False)


def compile_whole(function: Callable[P, R], mode: str) -> Callable[P, R]:
    """Return ``function`` compiled into one graph, or unchanged.

    Parameters
    ----------
    function
        A function from tensors to tensors, always called with the same shapes.
    mode
        ``off``, or ``default``, ``max-autotune`` or ``reduce-overhead`` of ``torch.compile``; the last two capture CUDA
        graphs on a GPU.

    Raises
    ------
    UsageError
        On a call: the function cannot be compiled into a single graph (several would be slower than none), or this
        machine cannot compile it.
    """
    if mode == "off":
        return function
    from torch._dynamo.exc import TorchDynamoException  # imported here because it takes a second

    # torch.autograd.grad inside the graph: backward and the optimizer's step are then part of it.
    torch._dynamo.config.trace_autograd_ops = True
    compiled = torch.compile(function, fullgraph=True, dynamic=False, mode=None if mode == "default" else mode)

    def run(*args: P.args, **kwargs: P.kwargs) -> R:
        try:
            return compiled(*args, **kwargs)
        except TorchDynamoException as error:
            reason = str(error).strip().partition("\n")[0]
            raise UsageError(
                f"torch.compile failed: {reason}. Use --runtime.compile off, or run `hscl doctor` to "
                "check this machine's compiler."
            ) from error

    return run
