"""Check every form of every operation on a device: its errors, its repeatability, whether it waits, and its time."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import torch

from hscl_kernels.backends import Backend, resolve
from hscl_kernels.selfcheck.budget import Value, hold, works_in
from hscl_kernels.selfcheck.problems import OPERATIONS, hostile_problems, training_problem
from hscl_kernels.selfcheck.timing import milliseconds

BACKENDS: tuple[Backend, ...] = ("reference", "cpu", "triton")


@dataclass(frozen=True)
class Finding:
    """The result of checking one form of one operation in one dtype.

    Parameters
    ----------
    operation, backend, dtype
        The form.
    values
        For each output and gradient, the case on which it came nearest to its limit.
    milliseconds, reference_milliseconds
        Forward and backward of a training step's batch, in this form and eagerly; None if it was not timed.
    problems
        One sentence for each fault; empty if the form passed.
    """

    operation: str
    backend: str
    dtype: str
    values: tuple[Value, ...]
    milliseconds: float | None
    reference_milliseconds: float | None
    problems: tuple[str, ...]

    @property
    def passed(self) -> bool:
        """Whether the form has no problems on this device."""
        return not self.problems

    @property
    def name(self) -> str:
        """The form's operation, backend and dtype."""
        return f"{self.operation}, {self.backend}, {self.dtype}"

    def worst(self, *, gradients: bool) -> Value | None:
        """Return the output, or the gradient, that came nearest to its limit."""
        kind = [value for value in self.values if value.is_gradient == gradients]
        return max(kind, key=lambda value: value.share, default=None)


def missing_backends(device: torch.device) -> dict[str, str]:
    """Return the backends that cannot run on a device, with the reasons."""
    reasons: dict[str, str] = {}
    for backend in BACKENDS:
        try:
            resolve(backend, device)
        except ValueError as error:
            reasons[backend] = str(error)
    return reasons


def forms_of(device: torch.device) -> list[tuple[Backend, torch.dtype]]:
    """Return the forms to check on a device: backends that run there, with every dtype that makes sense for them."""
    halves = (torch.bfloat16, torch.float16)
    dtypes = {
        "reference": (torch.float32,),  # as in training, which gives it nothing else
        "cpu": (torch.float32, *halves, torch.float64),
        # The interpreter multiplies the raw bits of bfloat16.
        "triton": (torch.float32, *halves) if device.type == "cuda" else (torch.float32, torch.float16),
    }
    missing = missing_backends(device)
    return [(backend, dtype) for backend in BACKENDS if backend not in missing for dtype in dtypes[backend]]


def check_device(device: torch.device, announce: Callable[[str], object] = lambda name: None) -> Iterator[Finding]:
    """Check every operation in every form that runs on a device; ``announce`` is called first with the name of each."""
    for operation in OPERATIONS:
        eager_times: dict[torch.dtype, float] = {}
        for backend, dtype in forms_of(device):
            announce(f"{operation}, {backend}, {_name(dtype)}")
            yield check_form(operation, backend, dtype, device, eager_times)


def check_form(
    operation: str, backend: Backend, dtype: torch.dtype, device: torch.device, eager_times: dict[torch.dtype, float]
) -> Finding:
    """Check one form of one operation; an error that it raises becomes one of its problems.

    Parameters
    ----------
    operation
        One of :data:`hscl_kernels.selfcheck.OPERATIONS`.
    backend, dtype, device
        The form and the device on which it runs.
    eager_times
        The reference's milliseconds by dtype, as far as they are known; new measurements are added.
    """
    interpreted = backend == "triton" and device.type == "cpu"
    values: dict[str, Value] = {}
    problems: list[str] = []
    ours: float | None = None
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # those of the interpreter about log2(0) and masked-out overflows
        for case, problem in hostile_problems(operation, small=interpreted).items():
            try:
                found = hold(problem, case, backend, dtype, device)
            except Exception as error:  # from a compiler, a driver or this package; the other cases still run
                problems.append(f"{case}: {_reason(error)}")
                continue
            for value in found:
                if value.name not in values or value.share > values[value.name].share:
                    values[value.name] = value
        problems += [_excess(value) for value in values.values() if value.share > 1]
        try:
            problems += _unsteady(operation, backend, dtype, device, small=interpreted)
            if not interpreted and dtype != torch.float64:  # which nothing trains in
                ours = _time(operation, backend, dtype, device, eager_times)
        except Exception as error:
            problems.append(f"as large as in training: {_reason(error)}")
    eager = None if ours is None else eager_times[works_in(backend, dtype)]
    return Finding(operation, backend, _name(dtype), tuple(values.values()), ours, eager, tuple(problems))


def _unsteady(operation: str, backend: Backend, dtype: torch.dtype, device: torch.device, *, small: bool) -> list[str]:
    """Return where a fast form breaks its promises: the same bits on every call, and no waiting for the device."""
    if backend == "reference":
        return []
    case, problem = next(iter(hostile_problems(operation, small=small).items()))
    if not small:
        case, problem = "as large as in training", training_problem(operation)
    work = problem.rounded(dtype).prepare(backend, dtype, device)
    first, again = work(), work()
    wrong = [f"{case}: two calls differ in {name}" for name in first if not _same_bits(first[name], again[name])]
    if device.type != "cuda":
        return wrong
    mode = torch.cuda.get_sync_debug_mode()
    torch.cuda.set_sync_debug_mode("error")
    try:
        work()
    except RuntimeError as error:
        wrong.append(f"{case}: it waits for the device ({_reason(error)})")
    finally:
        torch.cuda.set_sync_debug_mode(mode)
    return wrong


def _same_bits(first: torch.Tensor, again: torch.Tensor) -> bool:
    return torch.equal(first.nan_to_num(), again.nan_to_num())


def _time(
    operation: str, backend: Backend, dtype: torch.dtype, device: torch.device, eager_times: dict[torch.dtype, float]
) -> float:
    problem, works = training_problem(operation).rounded(dtype), works_in(backend, dtype)
    if works not in eager_times:
        eager_times[works] = milliseconds(problem.prepare("reference", works, device), device)
    if backend == "reference":
        return eager_times[works]
    return milliseconds(problem.prepare(backend, dtype, device), device)


def _name(dtype: torch.dtype) -> str:
    return str(dtype).removeprefix("torch.")


def _excess(value: Value) -> str:
    return (
        f"{value.name} is wrong by {value.error:.1e} on the case {value.case!r}, where {value.allowed:.1e} is allowed "
        f"(eager PyTorch: {value.eager:.1e})"
    )


def _reason(error: Exception) -> str:
    lines = str(error).strip().splitlines()
    return f"{type(error).__name__}: {' '.join(lines[:3])[:300]}" if lines else type(error).__name__
