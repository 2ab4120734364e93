"""The error that a form may have, and the error that it has.

A form's error may be twice that of eager PyTorch (the reference) in the dtype the form works in, plus some roundings.
The truth is the reference in float64 on the CPU, which gets the inputs already rounded.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch

from hscl_kernels.backends import Backend
from hscl_kernels.selfcheck.problems import Problem

CPU = torch.device("cpu")
# Eager half precision can be wrong altogether (another prototype is nearest, another row eligible), which must not
# widen the budget without limit.
_MOST_EAGER = 4.0  # times the roundings


@dataclass(frozen=True)
class Value:
    """One output or gradient (``d/dNAME``) of a form on one case: its relative error, eager's, and the limit."""

    name: str
    case: str
    error: float
    eager: float
    allowed: float

    @property
    def share(self) -> float:
        """The error as a share of the allowed one; infinite if it is not a finite number."""
        return self.error / self.allowed if math.isfinite(self.error) else math.inf

    @property
    def is_gradient(self) -> bool:
        """Whether it is a gradient."""
        return self.name.startswith("d/d")


def works_in(backend: Backend, dtype: torch.dtype) -> torch.dtype:
    """Return the dtype a form computes in: on the CPU half precision is computed in float32."""
    return torch.float32 if backend == "cpu" and dtype.itemsize == 2 else dtype


def hold(problem: Problem, case: str, backend: Backend, dtype: torch.dtype, device: torch.device) -> list[Value]:
    """Return the error of every output and gradient of a form on ``device``.

    The reference itself is compared with eager PyTorch on the CPU, so that a device that computes wrongly is found.
    """
    problem = problem.rounded(dtype)
    exact = problem.prepare("reference", torch.float64, CPU)()
    works = works_in(backend, dtype)
    eager = problem.prepare("reference", works, CPU if backend == "reference" else device)()
    found = problem.prepare(backend, dtype, device)()
    errors, eager_errors = problem.errors(found, exact), problem.errors(eager, exact)
    values = []
    for name, error in errors.items():
        roundings = problem.roundings(name, dtype, works)
        eager_error = eager_errors[name]
        excuse = min(eager_error, _MOST_EAGER * roundings) if math.isfinite(eager_error) else 0.0
        values.append(Value(name, case, error, eager_error, 2 * excuse + roundings))
    return values
