"""Adam as one fused operation, whose gradients, learning rate and skip flag are tensors."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

_BETAS = (0.9, 0.999)
_EPS = 1e-8


class FusedAdam:
    """Adam (Kingma and Ba, ICLR 2015) with L2 penalty: torch's fused kernel, as one operation that a graph can contain.

    :class:`torch.optim.Adam` excludes its step from ``torch.compile``, and does not accept a fake tensor as its rate.

    Parameters
    ----------
    parameters
        The parameters to train.
    weight_decay
        Factor of the L2 penalty.
    factors
        For each parameter the factor of the learning rate that it is trained with; None: 1 for all.

    Attributes
    ----------
    rate
        The learning rate, a float32 scalar on the device: fill it before :meth:`update`.
    """

    def __init__(
        self, parameters: Sequence[nn.Parameter], *, weight_decay: float, factors: Sequence[float] | None = None
    ) -> None:
        device = parameters[0].device
        self.parameters = list(parameters)
        self.weight_decay = weight_decay
        self.factors = [1.0] * len(self.parameters) if factors is None else list(factors)
        self.rate = torch.zeros((), device=device)
        self.updates = torch.zeros((), device=device)
        self.first_moments = [torch.zeros_like(parameter, requires_grad=False) for parameter in parameters]
        self.second_moments = [torch.zeros_like(parameter, requires_grad=False) for parameter in parameters]

    def update(self, gradients: Sequence[Tensor | None], *, divisor: Tensor, skip: Tensor) -> None:
        """Update the parameters.

        Parameters
        ----------
        gradients
            One gradient per parameter; a parameter whose gradient is None is unchanged. The gradients are overwritten.
        divisor
            float32 scalar by which the gradients are divided first.
        skip
            float32 scalar: 1 leaves everything unchanged, 0 updates.
        """
        self.updates += 1 - skip
        for factor in dict.fromkeys(self.factors):
            taking = {
                place: _laid_out_as(self.parameters[place], gradient)
                for place, gradient in enumerate(gradients)
                if gradient is not None and self.factors[place] == factor
            }
            if not taking:
                continue
            _adam(
                [self.parameters[place] for place in taking],
                list(taking.values()),
                [self.first_moments[place] for place in taking],
                [self.second_moments[place] for place in taking],
                self.updates,
                self.rate if factor == 1 else self.rate * factor,
                divisor,
                skip,
                self.weight_decay,
            )

    def tensors(self) -> list[Tensor]:
        """Return the moments, the number of updates and the rate."""
        return [*self.first_moments, *self.second_moments, self.updates, self.rate]

    def state_dict(self) -> dict[str, Tensor | list[Tensor]]:
        """Return the moments, the number of updates and the rate."""
        return {"updates": self.updates, "first": self.first_moments, "second": self.second_moments, "rate": self.rate}

    def load_state_dict(self, state: dict[str, Tensor | list[Tensor]]) -> None:
        """Continue from :meth:`state_dict`."""
        for name, own in self.state_dict().items():
            given = state[name]
            for target, value in zip(_tensors(own), _tensors(given), strict=True):
                if target.shape != value.shape:
                    raise ValueError(f"{name} has shape {list(value.shape)}, expected {list(target.shape)}")
                target.copy_(value)


def _laid_out_as(parameter: Tensor, gradient: Tensor) -> Tensor:
    """Return the gradient in the parameter's memory layout, because the fused kernel reads both in memory order."""
    return gradient if gradient.stride() == parameter.stride() else torch.empty_like(parameter).copy_(gradient)


def _tensors(value: Tensor | list[Tensor]) -> list[Tensor]:
    return [value] if isinstance(value, Tensor) else value


@torch.library.custom_op("hscl_fast::adam", mutates_args=("parameters", "gradients", "first_moments", "second_moments"))
def _adam(
    parameters: list[Tensor],
    gradients: list[Tensor],
    first_moments: list[Tensor],
    second_moments: list[Tensor],
    updates: Tensor,
    rate: Tensor,
    divisor: Tensor,
    skip: Tensor,
    weight_decay: float,
) -> None:
    torch._fused_adam_(
        parameters,
        gradients,
        first_moments,
        second_moments,
        [],
        [updates] * len(parameters),
        lr=rate,
        beta1=_BETAS[0],
        beta2=_BETAS[1],
        weight_decay=weight_decay,
        eps=_EPS,
        amsgrad=False,
        maximize=False,
        grad_scale=divisor,
        found_inf=skip,
    )


@_adam.register_fake
def _(*arguments: object) -> None:
    return None
