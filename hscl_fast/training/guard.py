"""Guards the weights: skips and counts updates with a non-finite loss or gradient, all on the device."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from hscl_fast.training.optimizer import FusedAdam
from hscl_fast.training.saved_buffers import SavedBuffers

_INITIAL_SCALE = 2.0**16
_GROWTH_INTERVAL = 2000  # good updates before the loss scale doubles


class UpdateGuard:
    """Applies an optimizer's update only if loss and gradients are finite, without waiting for the device.

    It scales the loss if the encoder runs in float16, clips the gradient if configured, and restores the batch
    statistics when it skips an update.

    Parameters
    ----------
    buffers
        The buffers that the forward pass changes; they are restored when an update is skipped.
    optimizer
        Its update can be skipped by a flag tensor.
    scaled
        Whether to use a dynamic loss scale (float16).
    clip_norm
        Largest gradient norm, or None.
    """

    def __init__(
        self, buffers: Sequence[Tensor], optimizer: FusedAdam, *, scaled: bool, clip_norm: float | None
    ) -> None:
        self.optimizer = optimizer
        self.scaled = scaled
        self.clip_norm = clip_norm
        device = optimizer.rate.device
        self.scale = torch.tensor(_INITIAL_SCALE if scaled else 1.0, device=device)
        self.streak = torch.zeros((), device=device)  # good updates since the scale last changed
        self.skipped = torch.zeros((), device=device)
        self.skipped_in_a_row = torch.zeros((), device=device)
        self._buffers = SavedBuffers(buffers)

    def remember_statistics(self) -> None:
        """Copy the buffers; call before the forward pass."""
        self._buffers.save()

    @torch.no_grad()
    def update(self, loss: Tensor, gradients: Sequence[Tensor | None]) -> Tensor:
        """Take the optimizer's step for the gradients of ``loss * scale``; return the gradient norm (unscaled)."""
        present = [gradient for gradient in gradients if gradient is not None]
        norm = torch.nn.utils.get_total_norm(present, foreach=True) / self.scale
        bad = ~torch.isfinite(torch.stack((norm, loss.detach()))).all()
        divisor = self.scale
        if self.clip_norm is not None:
            divisor = divisor * (norm / self.clip_norm).clamp(min=1)
        self.optimizer.update(gradients, divisor=divisor, skip=bad.float())
        self._buffers.restore_where(bad)
        self._count(bad)
        return norm

    def tensors(self) -> list[Tensor]:
        """Return the scale, the counters and the copies of the buffers."""
        return [*self.state_dict().values(), *self._buffers.saved]

    def state_dict(self) -> dict[str, Tensor]:
        """Return the scale and the counters."""
        return {name: getattr(self, name) for name in ("scale", "streak", "skipped", "skipped_in_a_row")}

    def load_state_dict(self, state: dict[str, Tensor]) -> None:
        """Continue from :meth:`state_dict`."""
        for name, value in self.state_dict().items():
            value.copy_(state[name])

    def _count(self, bad: Tensor) -> None:
        one = bad.float()
        self.skipped += one
        self.skipped_in_a_row.copy_((self.skipped_in_a_row + 1) * one)
        if self.scaled:
            self.streak.copy_((self.streak + 1) * (1 - one))
            grown = torch.where(self.streak >= _GROWTH_INTERVAL, self.scale * 2, self.scale)
            self.streak.copy_(torch.where(self.streak >= _GROWTH_INTERVAL, 0.0, self.streak))
            self.scale.copy_(torch.where(bad, self.scale / 2, grown))
