"""Stopping on Ctrl-C, SIGTERM, a closed terminal or a closed pipe at a step's end, with everything saved."""

from __future__ import annotations

import signal
import threading
from types import FrameType, TracebackType

# SIGPIPE: Python ignores it, and a console whose reader has gone raises it by hand.
_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGPIPE)


class Interrupted(Exception):
    """A signal stopped the work; a training run has saved its state.

    Parameters
    ----------
    signal_number
        The signal.
    where
        How far the work was, such as ``at step 3 of 10``.

    Attributes
    ----------
    exit_code
        128 + the signal's number, as shells report it.
    """

    def __init__(self, signal_number: int, where: str = "") -> None:
        super().__init__(" ".join(filter(None, (f"stopped by {signal.Signals(signal_number).name}", where))))
        self.exit_code = 128 + signal_number


class StopRequest:
    """While entered, the first signal to stop is remembered in ``received``; a second one acts at once.

    Signals reach the main thread only, so work in another thread is not stopped by them.
    """

    def __init__(self) -> None:
        self.received: int | None = None
        self._previous: dict[int, signal._HANDLER] = {}

    def __enter__(self) -> StopRequest:
        for number in _SIGNALS if threading.current_thread() is threading.main_thread() else ():
            self._previous[number] = signal.signal(number, self._receive)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._restore()

    def _receive(self, number: int, frame: FrameType | None) -> None:
        self.received = number
        self._restore()

    def _restore(self) -> None:
        for number, handler in self._previous.items():
            signal.signal(number, handler)
