"""A loss or a similarity on fixed inputs: its outputs and gradients in any form, and the size of its errors."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any

import torch
from torch import Tensor

from hscl_kernels.backends import Backend

SHARP = 0.1  # below this temperature, errors grow as the rounding errors of the logits s / tau do
TINY = {torch.float64: 1e-12, torch.float32: 1e-6, torch.float16: 2.0**-10, torch.bfloat16: 2.0**-7}


@dataclass(frozen=True)
class LossProblem:
    """An operation on differentiable inputs and integer facts, and the gradients that arrive at its outputs.

    Gradients are multiplied by the length of their row of the input, which makes them those of unit rows: a short row's
    gradient would otherwise drown all others.
    """

    operation: Callable[..., Any]
    outputs: tuple[str, ...]
    inputs: dict[str, Tensor]  # on the CPU
    facts: tuple[Tensor, ...]
    upstream: tuple[Tensor | None, ...]  # one for each of the first outputs, None where it has no upstream gradient
    options: dict[str, Any] = field(default_factory=dict)
    tiny = TINY  # the error that is allowed even if eager code happens to be exact: some roundings

    def rounded(self, dtype: torch.dtype) -> LossProblem:
        """Return the problem with its inputs in ``dtype``."""
        return replace(self, inputs={name: x.to(dtype) for name, x in self.inputs.items()})

    def prepare(
        self, backend: Backend, dtype: torch.dtype | None, device: torch.device
    ) -> Callable[[], dict[str, Tensor]]:
        """Return a function that computes all outputs and gradients (``d/dNAME``) on ``device``.

        ``dtype`` is that of the inputs, None for their own.
        """
        leaves = {name: x.detach().to(device, dtype or x.dtype).requires_grad_() for name, x in self.inputs.items()}
        facts = [x.to(device) for x in self.facts]
        upstream = [x if x is None else x.to(device) for x in self.upstream]
        options = {name: x.to(device) if isinstance(x, Tensor) else x for name, x in self.options.items()}

        def work() -> dict[str, Tensor]:
            results = self.operation(*leaves.values(), *facts, **options, backend=backend)
            results = (results,) if isinstance(results, Tensor) else tuple(results)
            asked, weights = zip(
                *((x, g.to(x.dtype)) for x, g in zip(results, upstream, strict=False) if g is not None), strict=True
            )
            gradients = torch.autograd.grad(
                asked, list(leaves.values()), weights, allow_unused=True, materialize_grads=True
            )
            named = dict(zip(self.outputs, (x.detach() for x in results), strict=True))
            return named | {f"d/d{name}": x for name, x in zip(leaves, gradients, strict=True)}

        return work

    def errors(self, found: dict[str, Tensor], exact: dict[str, Tensor]) -> dict[str, float]:
        """Return the largest error of every output and gradient, relative to its largest entry."""
        errors = {}
        for name, truth in exact.items():
            value = found[name].cpu()
            if truth.dtype == torch.int64:
                errors[name] = self._regret(value, truth)
            elif name.startswith("d/d"):
                errors[name] = self._gradient_error(name, value, truth)
            else:
                # Losses that are small by cancellation have the absolute error of a logarithm.
                scale = truth.abs().max().clamp(min=0.1)
                errors[name] = ((value.double() - truth).abs().max() / scale).item()
        return errors

    def roundings(self, name: str, dtype: torch.dtype, works_in: torch.dtype) -> float:
        """Return the error that is allowed in any case."""
        sharpness = max(1.0, SHARP / self.options.get("temperature", 0.5))
        return self.tiny[dtype if name.startswith("d/d") else works_in] * sharpness

    def _gradient_error(self, name: str, value: Tensor, truth: Tensor) -> float:
        x = self.inputs[name.removeprefix("d/d")]
        lengths = x.double().norm(dim=1, keepdim=True).clamp(min=1e-12)
        largest = torch.finfo(x.dtype).max
        truth = truth.clamp(-largest, largest)
        # Entries that are small by cancellation have the error of their summands, which are about this large.
        summand = max(g.double().abs().max().item() for g in self.upstream if g is not None)
        if name == "d/dembeddings" and "temperature" in self.options:
            averaged = self.options.get("reduction", "mean") == "mean"
            summand /= self.options["temperature"] * (len(x) if averaged else 1)
        scale = (truth * lengths).abs().max().clamp(min=0.1 * summand)
        return (((value.double() - truth) * lengths).abs().max() / scale).item()

    def _regret(self, chosen: Tensor, best: Tensor) -> float:
        """Return how much less similar the chosen prototypes are than the nearest; 1 if a tie went to a later one."""
        z, v = (torch.nn.functional.normalize(x.double(), dim=1) for x in self.inputs.values())
        similarities, prototypes = z @ v.T, self.inputs["prototypes"]
        regret = (similarities.gather(1, best[:, None]) - similarities.gather(1, chosen[:, None]))[:, 0]
        tied = (chosen != best) & (prototypes[chosen] == prototypes[best]).all(dim=1)
        return torch.where(tied, 1.0, regret.abs()).max().item()
