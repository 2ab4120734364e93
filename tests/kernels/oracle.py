"""The fast forms of an operation against its float64 reference: how wrong a form may be, and how wrong it is.

A form's error may be twice that of the reference run eagerly in the dtype the form works in, plus TINY. Errors are
relative to the largest entry; gradients are first multiplied by the length of their row of the input, which makes
them those of unit rows: a short row's gradient would otherwise drown all others.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any

import torch
from hscl_kernels import hscl_loss, info_nce, prototype_similarity
from torch import Tensor

# For where eager code happens to be exact: some rounding errors of float32 and float64, one of a half dtype.
TINY = {torch.float64: 1e-12, torch.float32: 1e-6, torch.float16: 2.0**-10, torch.bfloat16: 2.0**-7}
SHARP = 0.1  # below this temperature, TINY grows as the rounding errors of the logits s / tau do
# Eager half precision can be wrong altogether (another prototype is nearest, another row eligible): no excuse.
MOST_EAGER = 4.0  # times TINY

INPUTS = ("embeddings", "prototypes")
OUTPUTS = {
    hscl_loss: ("total", "sample_to_sample", "sample_to_prototype", "normal_to_abnormal", "weights"),
    info_nce: ("loss",),
    prototype_similarity: ("similarity", "index"),
}


@dataclass(frozen=True)
class Problem:
    """An operation on differentiable ``inputs`` and integer ``constants``, and the gradients that reach its outputs."""

    operation: Callable[..., Any]
    inputs: tuple[Tensor, ...]
    constants: tuple[Tensor, ...]
    upstream: tuple[Tensor | None, ...]  # for each differentiable output; None where it is not asked for
    options: dict[str, Any] = field(default_factory=dict)

    def map(self, change: Callable[[Tensor], Tensor]) -> Problem:
        """Return the problem with every tensor changed."""
        tensors = {
            name: tuple(x if x is None else change(x) for x in getattr(self, name))
            for name in ("inputs", "constants", "upstream")
        }
        options = {name: change(x) if isinstance(x, Tensor) else x for name, x in self.options.items()}
        return replace(self, **tensors, options=options)


def batch(
    dtype: torch.dtype,
    rows: int = 37,
    features: int = 32,
    prototypes: int = 3,
    seed: int = 0,
    roles: tuple[int, ...] = (1, 0, -1, 2, 0),
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Return embeddings of many lengths around a common direction, prototypes near it, ids (two views) and roles."""
    generator = torch.Generator().manual_seed(seed)

    def draw(*shape: int) -> Tensor:
        return torch.randn(*shape, dtype=torch.float64, generator=generator)

    common = draw(features)
    z = (common + draw(rows, features)) * draw(rows, 1).exp()
    v = common + draw(prototypes, features)
    order = torch.randint(len(roles), (rows,), generator=generator)
    order[: len(roles)] = torch.arange(len(roles))[:rows]  # every role appears
    return z.to(dtype), v.to(dtype), torch.arange(rows) % -(-rows // 2), torch.tensor(roles)[order]


def solve(problem: Problem, backend: str, dtype: torch.dtype | None = None) -> tuple[dict, dict]:
    """Return outputs and gradients of the inputs by name; the inputs as they are, or in ``dtype``."""
    leaves = [x.detach().to(dtype or x.dtype).requires_grad_() for x in problem.inputs]
    outputs = problem.operation(*leaves, *problem.constants, **problem.options, backend=backend)
    outputs = (outputs,) if isinstance(outputs, Tensor) else outputs
    asked = [(x, g.to(x.dtype)) for x, g in zip(outputs, problem.upstream, strict=False) if g is not None]
    losses, weights = zip(*asked, strict=True)
    gradients = torch.autograd.grad(losses, leaves, weights, allow_unused=True, materialize_grads=True)
    named = zip(OUTPUTS[problem.operation], (x.detach() for x in outputs), strict=True)
    return dict(named), dict(zip(INPUTS, gradients, strict=False))


def assert_within_budget(problem: Problem, backend: str) -> None:
    """Hold every output and gradient of a form against the oracle, which gets the inputs already rounded."""
    inputs = problem.inputs
    dtype = inputs[0].dtype
    works_in = torch.float32 if backend == "cpu" and dtype.itemsize == 2 else dtype
    form, exact = solve(problem, backend), solve(problem, "reference", torch.float64)
    eager = solve(problem, "reference", works_in)
    temperature = problem.options.get("temperature", 0.5)
    sharpness = max(1.0, SHARP / temperature)
    averaged = problem.options.get("reduction", "mean") == "mean"
    failures = []

    def hold(name: str, of: Callable[[tuple[dict, dict]], Tensor], scale: Tensor, tiny: float) -> None:
        assert torch.isfinite(of(form)).all(), f"{name} is not finite: {of(form)}"
        error, eager_error = (((of(some).double() - of(exact)).abs().max() / scale).item() for some in (form, eager))
        tiny *= sharpness
        # An eager error that is no number (an overflow) allows a form nothing.
        allowed = 2 * min(eager_error, MOST_EAGER * tiny) + tiny if eager_error == eager_error else tiny
        if not error <= allowed:
            failures.append(f"{name}: error {error:.2e}, allowed {allowed:.2e} (eager {eager_error:.2e})")

    for name, value in exact[0].items():
        if value.dtype == torch.int64:
            assert torch.equal(form[0][name], value), name
        else:
            # Losses that are small by cancellation have the absolute error of a logarithm.
            hold(name, lambda some, name=name: some[0][name], value.abs().max().clamp(min=0.1), TINY[works_in])
    for (name, gradient), x in zip(exact[1].items(), inputs, strict=False):
        assert form[1][name].dtype == x.dtype
        lengths = x.double().norm(dim=1, keepdim=True).clamp(min=1e-12)
        largest = torch.finfo(x.dtype).max
        exact[1][name] = gradient.clamp(-largest, largest)
        # So have gradients, whose summands are about this large.
        summand = max(g.double().abs().max() for g in problem.upstream if g is not None)
        if name == "embeddings":
            summand = summand / (temperature * (len(x) if averaged else 1))
        scale = (exact[1][name] * lengths).abs().max().clamp(min=0.1 * summand)
        tiny = TINY[x.dtype]
        hold(f"d/d{name}", lambda some, name=name, lengths=lengths: some[1][name].double() * lengths, scale, tiny)
    assert not failures, "\n".join(failures)
