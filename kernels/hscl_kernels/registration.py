"""How a function becomes an operation of torch.library: its schema, fake kernel, autograd and device, written once."""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, ExitStack, nullcontext
from typing import Any

import torch
from torch import Tensor
from torch._functorch import config as functorch_config
from torch._subclasses.functional_tensor import FunctionalTensorMode  # what torch.library.triton_op registers for
from torch.library import CustomOpDef

from hscl_kernels import launch

IMPLEMENTATIONS: dict[str, Callable[..., Any]] = {}  # what each operation runs, by its qualified name


def operation(name: str, *, fake: Callable[..., Any]) -> Callable[[Callable[..., Any]], CustomOpDef]:
    """Return a decorator that registers a function as ``hscl_kernels::NAME``, which changes no argument.

    It runs as :func:`on_device` says. torch.compile sees through its Triton form, to the launches, where all sizes are
    fixed; see :func:`launches_are_known`.

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
        registered.register_torch_dispatch(FunctionalTensorMode, _seen_through(function))
        IMPLEMENTATIONS[f"hscl_kernels::{name}"] = guarded
        return registered

    return register


def _seen_through(function: Callable[..., Any]) -> Callable[..., Any]:
    """Return what torch.compile does with an operation: it traces its launches, or leaves the operation whole."""

    def trace(
        mode: FunctionalTensorMode, overload: Any, types: Any, arguments: tuple[Any, ...], options: dict[str, Any]
    ) -> Any:
        given = (*arguments, *options.values())
        if not launches_are_known(given):
            return mode.__torch_dispatch__(overload, types, arguments, options)
        device = next(value.device for value in given if isinstance(value, Tensor))
        with mode, launch.traced(), without_autocast(device):
            return function(*arguments, **options)

    return trace


def launches_are_known(given: Sequence[Any]) -> bool:
    """Return whether an operation's arguments decide its launches, so that they can be a part of a compiled graph.

    Tiles and grids follow from the sizes by loops on the host. Of sizes that vary (``SymInt``) they would make
    constants, and every number of rows would be compiled anew. torch.export keeps operations whole, too.
    """
    if not functorch_config.decompose_custom_triton_ops:
        return False
    tensors = [value for value in given if isinstance(value, Tensor)]
    numbers = [*given, *(size for tensor in tensors for size in (*tensor.shape, *tensor.stride()))]
    return (
        any(isinstance(value, str) and value == "triton" for value in given)
        and all(launch.is_compiled(tensor.device) for tensor in tensors)
        and not any(isinstance(number, torch.SymInt) for number in numbers)
    )


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
