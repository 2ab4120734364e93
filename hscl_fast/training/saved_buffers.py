"""Copies of buffers, taken and put back in a few launches however many buffers there are."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import groupby

import torch
from torch import Tensor


class SavedBuffers:
    """The values that some buffers had at the last :meth:`save`, in one flat tensor for each dtype.

    Parameters
    ----------
    buffers
        They are changed in place only.
    """

    def __init__(self, buffers: Sequence[Tensor]) -> None:
        ordered = sorted(buffers, key=lambda buffer: str(buffer.dtype))
        self._groups = [list(group) for _, group in groupby(ordered, key=lambda buffer: buffer.dtype)]
        self.saved = [_flat(group) for group in self._groups]

    def save(self) -> None:
        """Copy the buffers. One launch for each dtype."""
        for group, saved in zip(self._groups, self.saved, strict=True):
            torch.cat([buffer.reshape(-1) for buffer in group], out=saved)

    def restore_where(self, condition: Tensor) -> None:
        """Put the saved values back if ``condition`` (bool scalar) holds. Three launches for each dtype."""
        for group, saved in zip(self._groups, self.saved, strict=True):
            kept = torch.where(condition, saved, _flat(group))
            parts = kept.split([buffer.numel() for buffer in group])
            torch._foreach_copy_(group, [part.view(b.shape) for part, b in zip(parts, group, strict=True)])


def _flat(buffers: Sequence[Tensor]) -> Tensor:
    return torch.cat([buffer.reshape(-1) for buffer in buffers])
