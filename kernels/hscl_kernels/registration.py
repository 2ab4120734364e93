"""How a function becomes an operation of torch.library: its schema, fake kernel, autograd and device, written once."""

from __future__ import annotations

import functools
from collections.abc import Callable
from contextlib import AbstractContextManager, ExitStack, nullcontext
from typing import Any

import torch
from torch import Tensor
from torch.library import CustomOpDef

IMPLEMENTATIONS: dict[str, Callable[..., Any]] = {}  # what each operation runs, by its qualified name


def operation(name: str, *, fake: Callable[..., Any]) -> Callable[[Callable[..., Any]], CustomOpDef]:
    """Return a decorator that registers a function as ``hscl_kernels::NAME``, which changes no argument.

    It runs as :func:`on_device` says.

    Parameters
    ----------
    name
        The operation's name.
    fake
        Returns empty outputs for fake inputs: its sizes must come from ``shape``, because ``len`` would make
        torch.compile specialise on the number of rows.
    """

    def register(function: Callable[..., Any]) -> CustomOpDef:
        schema = torch.library.infer_schema(function, mutates_args=())
        guarded = on_device(function)
        registered = torch.library.custom_op(f"hscl_kernels::{name}", guarded, mutates_args=(), schema=schema)
        registered.register_fake(fake)
        IMPLEMENTATIONS[f"hscl_kernels::{name}"] = guarded
        return registered

    return register


def on_device(function: Callable[..., Any]) -> Callable[..., Any]:
    """Return a function that runs on the device of its first tensor, on which Triton would not launch by itself.

    It runs without autocast, which would cast the operators within it: half-precision inputs stay what they are, and
    sums are float32 whatever the inputs.
    """

    @functools.wraps(function)
    def run(*arguments: Any, **options: Any) -> Any:
        given = (*arguments, *options.values())
        device = next(value.device for value in given if isinstance(value, Tensor))
        with ExitStack() as stack:
            stack.enter_context(without_autocast(device))
            if device.type == "cuda":
                stack.enter_context(torch.cuda.device(device))
            return function(*arguments, **options)

    return run


def without_autocast(device: torch.device) -> AbstractContextManager[object]:
    """Return a context in which operators run in the dtype of their inputs; ``meta`` tensors know no other."""
    known = torch.amp.is_autocast_available(device.type)
    return torch.autocast(device.type, enabled=False) if known else nullcontext()


def differentiable(
    forward: CustomOpDef,
    backward: CustomOpDef,
    *,
    save: Callable[..., None],
    differentiate: Callable[..., Any],
    what: str,
) -> None:
    """Give an operation its gradient, and refuse second derivatives.

    Parameters
    ----------
    forward, backward
        The operation, and the one that ``differentiate`` calls.
    save, differentiate
        As ``setup_context`` and ``backward`` of :func:`torch.library.register_autograd`.
    what
        The public functions, for the error.
    """

    def refuse(ctx: Any, *gradients: Tensor | None) -> None:
        raise RuntimeError(
            f"hscl_kernels does not provide second derivatives of {what}: use backend='reference', which can be "
            "differentiated any number of times, or drop create_graph=True"
        )

    forward.register_autograd(differentiate, setup_context=save)
    backward.register_autograd(refuse)
