"""All ranks stop after the same step, though a signal reaches each at its own moment."""

from __future__ import annotations

import torch
import torch.distributed as dist
from torch import Tensor

from hscl_fast.ranks.group import Ranks


class StopAgreement:
    """The signal that all ranks heed, agreed on in the background while they train.

    What the ranks have received is combined in a reduction between hosts that is started after every step and read
    after the next one, so neither hosts nor devices wait for it.

    Parameters
    ----------
    ranks
        Who must agree; a single process agrees with itself at once.
    """

    def __init__(self, ranks: Ranks) -> None:
        self._control = ranks.control
        self._pending: tuple[Tensor, dist.Work] | None = None

    def exchange(self, received: int | None) -> int | None:
        """Tell this rank's signal after a step; return the one that all ranks stop for now, if any."""
        if self._control is None:
            return received
        agreed = self.outcome()
        if agreed is None:
            signal = torch.tensor(received or 0)
            work = dist.all_reduce(signal, dist.ReduceOp.MAX, group=self._control, async_op=True)
            self._pending = signal, work
        return agreed

    def outcome(self) -> int | None:
        """Wait for what was told last; return the signal that all ranks stop for, if any."""
        if self._pending is None:
            return None
        signal, work = self._pending
        self._pending = None
        work.wait()
        return int(signal) or None
