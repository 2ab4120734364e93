"""An identity function that scales the gradient in the backward pass."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor


def scale_gradient(value: Tensor, factor: Tensor) -> Tensor:
    """Return ``value`` unchanged; its gradient is multiplied by ``factor``."""
    scaled: Tensor = _ScaledGradient.apply(value, factor)
    return scaled


class _ScaledGradient(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, value: Tensor, factor: Tensor) -> Tensor:
        ctx.save_for_backward(factor)
        return value.clone()

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None]:
        (factor,) = ctx.saved_tensors
        return gradient * factor, None
