"""An interruption in the middle of a fit, as a signal causes it."""

import signal

from hscl_fast.interrupt import Interrupted


class StopAt:
    """Stops at a step, with the state saved as a checkpoint saves it."""

    def __init__(self, step):
        self.step, self.saved, self.reported = step, None, []

    def advance(self, step, total, state, **figures):
        self.reported.append((step, total, sorted(figures)))
        if step == self.step:
            self.kept = {name: tensor.clone() for name, tensor in state().items()}
            raise Interrupted(signal.SIGTERM)


class GoOn:
    """Goes on from what :class:`StopAt` kept."""

    def __init__(self, saved):
        self.saved, self.reported = saved, []

    def advance(self, step, total, state, **figures):
        self.reported.append((step, total, sorted(figures)))
