"""Adam in one fused call that takes its gradients, its rate and whether to act at all as tensors."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

_BETAS = (0.9, 0.999)
_EPS = 1e-8


class FusedAdam:
    """Adam (Kingma and Ba, ICLR 2015) with L2 penalty: torch's fused kernel, as one operation that a graph can hold.

    :class:`torch.optim.Adam` keeps ``torch.compile`` out of its step, and its tensor rate out of fake tensors.

    Parameters
    ----------
    parameters
        What is trained.
    weight_decay
        L2 penalty.

    Attributes
    ----------
    rate
        The learning rate, a float32 scalar on the device: fill it before :meth:`update`.
    """

    def __init__(self, parameters: Sequence[nn.Parameter], *, weight_decay: float) -> None:
        device = parameters[0].device
        self.parameters = list(parameters)
        self.weight_decay = weight_decay
        self.rate = torch.zeros((), device=device)
        self.updates = torch.zeros((), device=device)
        self.first_moments = [torch.zeros_like(parameter, requires_grad=False) for parameter in parameters]
        self.second_moments = [torch.zeros_like(parameter, requires_grad=False) for parameter in parameters]

    def update(self, gradients: Sequence[Tensor | None], *, divisor: Tensor, skip: Tensor) -> None:
        """Update the parameters.

        Parameters
        ----------
        gradients
            One a parameter; a parameter whose gradient is None is left alone. They are overwritten.
        divisor
            Float32 scalar by which the gradients are divided first.
        skip
            Float32 scalar: 1 leaves everything as it is, 0 updates.
        """
        taking = [place for place, gradient in enumerate(gradients) if gradient is not None]
        pairs = zip(self.parameters, gradients, strict=True)
        _adam(
            [self.parameters[place] for place in taking],
            [_laid_out_as(parameter, gradient) for parameter, gradient in pairs if gradient is not None],
            [self.first_moments[place] for place in taking],
            [self.second_moments[place] for place in taking],
            self.updates,
            self.rate,
            divisor,
            skip,
            self.weight_decay,
        )

    def tensors(self) -> list[Tensor]:
        """Return the moments, the number of updates and the rate."""
        return [*self.first_moments, *self.second_moments, self.updates, self.rate]

    def state_dict(self) -> dict[str, Tensor | list[Tensor]]:
        """Return the moments and the number of updates."""
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
    """Return a gradient whose memory has the parameter's layout: the fused kernel walks all of them side by side."""
    return gradient if gradient.stride() == parameter.stride() else torch.empty_like(parameter).copy_(gradient)


def _tensors(value: Tensor | list[Tensor]) -> list[Tensor]:
    return [value] if isinstance(value, Tensor) else value


@torch.library.custom_op(
    "hscl_fast::adam", mutates_args=("parameters", "gradients", "first_moments", "second_moments", "updates")
)
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
    updates += 1 - skip
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
