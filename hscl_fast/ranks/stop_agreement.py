"""Makes all ranks stop after the same step, although a signal reaches them at different times."""

from __future__ import annotations

import torch
import torch.distributed as dist
from torch import Tensor

from hscl_fast.ranks.group import Ranks


class StopAgreement:
    """Agrees on a stop signal for all ranks, in the background while they train.

    The signals that the ranks have received are combined by a reduction on the CPU, which is started after every step
    and read after the next one, so that neither the processes nor their devices wait for it.

    Parameters
    ----------
    ranks
        The ranks that must agree; a single process stops at once.
    """

    def __init__(self, ranks: Ranks) -> None:
        self._control = ranks.control
        self._pending: tuple[Tensor, dist.Work] | None = None

    def exchange(self, received: int | None) -> int | None:
        """Send this rank's signal after a step; return the signal for which all ranks stop now, if any."""
        if self._control is None:
            return received
        agreed = self.outcome()
        if agreed is None:
            signal = torch.tensor(received or 0)
            work = dist.all_reduce(signal, dist.ReduceOp.MAX, group=self._control, async_op=True)
            self._pending = signal, work
        return agreed

    def outcome(self) -> int | None:
        """Wait for the last exchange; return the signal for which all ranks stop, if any."""
        if self._pending is None:
            return None
        signal, work = self._pending
        self._pending = None
        work.wait()
        return int(signal) or None
