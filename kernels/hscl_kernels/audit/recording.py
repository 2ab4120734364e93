"""Record what operations launch on a card that is not here: which kernels, specialised how, in how many programs.

The operations run on ``meta`` tensors, for a target that :func:`hscl_kernels.launch.assumed` sets, and Triton
specialises each launch as it would on the card. Its hook then keeps it from compiling.

Inductor, which launches the kernels of a compiled step, specialises on integers and addresses even where a kernel asks
Triton not to, and passes numbers as float64. Such launches are *inlined*.
"""

from __future__ import annotations

import inspect
import json
import math
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager, nullcontext
from typing import Any, NamedTuple
from unittest import mock

from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from triton import knobs
from triton.backends.compiler import GPUTarget
from triton.runtime import JITFunction, driver

from hscl_kernels import launch
from hscl_kernels.audit.cases import Case
from hscl_kernels.gpus import GPUS
from hscl_kernels.registration import IMPLEMENTATIONS

_REQUESTS = ("do_not_specialize", "do_not_specialize_on_alignment")  # of a kernel, for single parameters


class Launch(NamedTuple):
    """One launch: its kernel, Triton's own account of how it is specialised, and how much it does.

    ``form`` is what :meth:`triton.JITFunction.preload` compiles; launches with the same form run the same code.
    ``moved`` are the bytes of all tensors that it gets, ``inlined`` whether Inductor launches it.
    """

    kernel: str
    target: str
    form: str
    constants: dict[str, Any]
    warps: int
    stages: int
    programs: int
    moved: int
    inlined: bool = False

    @property
    def program(self) -> str:
        """The form without its target and the compiler's options: what the compiler is given."""
        form = json.loads(self.form)
        parts = ("name", "signature", "constant_keys", "constant_vals", "attrs_keys", "attrs_vals")
        return json.dumps([form[part] for part in parts])


def is_sweep(kernel: str) -> bool:
    """Return whether a kernel forms tiles of the N x N matrix."""
    return kernel.startswith("sweep_")


class PretendDriver:
    """A Triton driver for a target that is not here: enough of one to specialise and to compile."""

    def __init__(self, target: str, *, inlined: bool = False) -> None:
        gpu = GPUS[target]
        self.name = f"{target} in Inductor" if inlined else target
        self.target = GPUTarget(gpu.backend, gpu.architecture, gpu.warp)

    def get_current_target(self) -> GPUTarget:
        """Return what Triton compiles for."""
        return self.target

    def get_current_device(self) -> str:
        """Return what Triton keeps compiled kernels by."""
        return self.name

    def get_current_stream(self, device: str) -> int:
        """Return a stream, on which nothing is launched."""
        return 0


class _Implementations(TorchDispatchMode):
    """Run what our operations run on a GPU rather than their fake kernels."""

    def __torch_dispatch__(
        self, function: Any, types: Any, arguments: Sequence[Any] = (), options: dict[str, Any] | None = None
    ) -> Any:
        return IMPLEMENTATIONS.get(function._schema.name, function)(*arguments, **(options or {}))


def record(case: Case, target: str, *, inlined: bool = False) -> list[Launch]:
    """Return what a case launches on a target, in order; with ``inlined`` as Inductor would launch it.

    Raises
    ------
    RuntimeError
        Kernels are interpreted: ``TRITON_INTERPRET=1`` was set when they were defined.
    """
    launches: list[Launch] = []
    forms: list[dict[str, Any]] = []
    specialise = JITFunction.run

    def run(kernel: JITFunction, *arguments: Any, grid: tuple[int, ...], warmup: bool, **options: Any) -> None:
        with _specialised_by_inductor(kernel) if inlined else nullcontext():
            specialise(kernel, *arguments, grid=grid, warmup=warmup, **options)
        given = _bound(kernel, arguments, options)
        form = forms[-1]
        launches.append(
            Launch(
                kernel.fn.__name__,
                target,
                _with_float64(form["specialization_data"]) if inlined else form["specialization_data"],
                {name: given[name] for name, kind in form["signature"].items() if kind == "constexpr"},
                form["num_warps"],
                form["num_stages"],
                math.prod(grid),
                sum({id(value): value.nbytes for value in given.values() if isinstance(value, Tensor)}.values()),
                inlined,
            )
        )

    def keep(*, compile: dict[str, Any], **_: Any) -> bool:
        forms.append(compile)
        return True  # do not compile

    if knobs.runtime.interpret:
        raise RuntimeError("TRITON_INTERPRET=1 is set, so kernels are not specialised: unset it")
    with ExitStack() as stack:
        stack.enter_context(launch.assumed(target))
        stack.enter_context(_driver(PretendDriver(target, inlined=inlined)))
        stack.enter_context(mock.patch.object(JITFunction, "run", run))
        stack.enter_context(mock.patch.object(knobs.runtime, "jit_cache_hook", keep))
        stack.enter_context(_Implementations())
        case.call()
    return launches


@contextmanager
def _specialised_by_inductor(kernel: JITFunction) -> Iterator[None]:
    """Let Triton specialise on every integer and address, also where the kernel asks it not to."""
    held = [(parameter, name) for parameter in kernel.params for name in _REQUESTS if getattr(parameter, name)]
    for parameter, name in held:
        setattr(parameter, name, False)
    try:
        yield
    finally:
        for parameter, name in held:
            setattr(parameter, name, True)


def _with_float64(form: str) -> str:
    """Return a form whose numbers are float64."""
    data = json.loads(form)
    data["signature"] = {name: "fp64" if kind == "fp32" else kind for name, kind in data["signature"].items()}
    return json.dumps(data)


@contextmanager
def _driver(pretended: PretendDriver) -> Iterator[None]:
    before = driver._active
    driver.set_active(pretended)
    try:
        yield
    finally:
        driver._active = before


def _bound(kernel: JITFunction, arguments: tuple[Any, ...], options: dict[str, Any]) -> dict[str, Any]:
    """Return the kernel's arguments by name."""
    signature: inspect.Signature = kernel.signature
    own = {name: value for name, value in options.items() if name in signature.parameters}
    bound = signature.bind(*arguments, **own)
    bound.apply_defaults()
    return bound.arguments
