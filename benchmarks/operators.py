"""Counts the work of a step: operators launched, bytes, floating-point operations, and waits of the host."""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Iterable
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves
from torch.utils.flop_counter import flop_registry

_ALLOCATING = ("empty", "new_empty", "empty_like", "empty_strided", "new_empty_strided")
_LAUNCHING_NOTHING = (*_ALLOCATING, "_local_scalar_dense", "lift_fresh", "detach")
_READING = ("_local_scalar_dense", "nonzero", "masked_select", "_unique2", "equal", "is_nonzero")
# The host waits for a copy from ordinary memory, as it does for a value that it reads.
_WAITING_CALLS = {Tensor.numpy: "numpy", Tensor.tolist: "tolist", torch.tensor: "upload", torch.as_tensor: "upload"}


class Operator(NamedTuple):
    """One launch: its ``flops`` run in ``unit`` (half, convolution or single), and it moves ``bytes``."""

    name: str
    flops: float
    bytes: float
    unit: str


class Counted(NamedTuple):
    """What :func:`count` saw. ``waits``: how often, by what, the host waits for a GPU or copies to or from it."""

    operators: list[Operator]
    waits: dict[str, int]


def count(step: Callable[[], object], on_host: Collection[Tensor] = ()) -> Counted:
    """Run a step once and count the work that it would give a GPU.

    An operator's bytes are those of its distinct inputs and of its outputs, each element that is in memory once. Views
    and allocations launch nothing, and neither does what concerns only tensors ``on_host``, which would stay there. An
    operation of ours is one operator here: see :mod:`benchmarks.roofline`.
    """
    counted = Counted([], {})
    with _Calls(counted.waits), _Operators(counted, {id(tensor) for tensor in on_host}):
        step()
    return counted


class _Calls(TorchFunctionMode):
    """Sees calls that never reach the dispatcher, because they cost nothing on the CPU."""

    def __init__(self, waits: dict[str, int]) -> None:
        super().__init__()
        self.waits = waits

    def __torch_function__(
        self, function: Any, types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        if function in _WAITING_CALLS and "device" not in (kwargs or {}):
            _add(self.waits, _WAITING_CALLS[function])
        return function(*args, **(kwargs or {}))


class _Operators(TorchDispatchMode):
    def __init__(self, counted: Counted, on_host: set[int]) -> None:
        super().__init__()
        self.counted, self.on_host = counted, on_host

    def __torch_dispatch__(
        self, function: Any, types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        kwargs = kwargs or {}
        result = function(*args, **kwargs)
        name = function.overloadpacket.__name__
        inputs = [leaf for leaf in tree_leaves((args, kwargs)) if isinstance(leaf, Tensor)]
        if function.namespace == "prim" or (inputs and all(id(tensor) in self.on_host for tensor in inputs)):
            return result
        if name in _READING or _selects_by_mask(name, args):
            _add(self.counted.waits, name)
        if not (function.is_view or name in _LAUNCHING_NOTHING):
            self.counted.operators.append(_operator(function, args, kwargs, inputs, result))
        return result


def _operator(function: Any, args: Any, kwargs: dict[str, Any], inputs: list[Tensor], result: Any) -> Operator:
    name = function.overloadpacket.__name__
    flops = flop_registry.get(function.overloadpacket)
    outputs = [leaf for leaf in tree_leaves(result) if isinstance(leaf, Tensor)]
    return Operator(
        name,
        float(flops(*args, **kwargs, out_val=result)) if flops else 0.0,
        _in_memory(inputs) + _in_memory(outputs),
        _unit(name, inputs),
    )


def _unit(name: str, inputs: list[Tensor]) -> str:
    if any(tensor.dtype in (torch.bfloat16, torch.float16) for tensor in inputs):
        return "half"
    return "convolution" if "convolution" in name else "single"


def _in_memory(tensors: Iterable[Tensor]) -> float:
    """Bytes of the distinct tensors; an expanded tensor is in memory once."""
    distinct = {(tensor.data_ptr() if _has_memory(tensor) else id(tensor), tensor.shape): tensor for tensor in tensors}
    return sum(
        tensor.element_size() * math.prod(n for n, stride in zip(tensor.shape, tensor.stride(), strict=True) if stride)
        for tensor in distinct.values()
    )


def _has_memory(tensor: Tensor) -> bool:
    return not isinstance(tensor, torch._subclasses.FakeTensor) and tensor.device.type != "meta"


def _selects_by_mask(name: str, args: tuple[Any, ...]) -> bool:
    """Whether it indexes by a mask, whose size the host must learn; one value put under a mask needs no size."""
    if name not in ("index", "index_put", "index_put_") or (name != "index" and args[2].numel() == 1):
        return False
    return any(index is not None and index.dtype in (torch.bool, torch.uint8) for index in args[1])


def _add(counts: dict[str, int], name: str) -> None:
    counts[name] = counts.get(name, 0) + 1
