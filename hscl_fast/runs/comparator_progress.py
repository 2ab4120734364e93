"""Records the training of a comparator in a run: its steps, its losses and its checkpoints."""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import ExitStack
from types import TracebackType

import torch
from torch import Tensor

from hscl_fast.comparators.comparator import State
from hscl_fast.config.sections import RecordConfig
from hscl_fast.interrupt import Interrupted, StopRequest
from hscl_fast.training.randomness import own_randomness
from hscl_fast.training.recorder import Recorder
from hscl_fast.training.state import TrainingState


class ComparatorProgress:
    """The :class:`hscl_fast.comparators.comparator.Progress` of a run, to be entered while a comparator is trained.

    Parameters
    ----------
    recorder
        Where rows and checkpoints go.
    record
        How often.
    state
        The progress of the run, kept up to date.
    saved
        The state of the last checkpoint; None at the beginning.
    device
        The device whose generators are left as they are.
    """

    def __init__(
        self, recorder: Recorder, record: RecordConfig, state: TrainingState, saved: State | None, device: torch.device
    ) -> None:
        self.saved = saved
        self._recorder, self._record, self._state, self._device = recorder, record, state, device
        self._stack, self._stop = ExitStack(), StopRequest()
        self._begun = False

    def __enter__(self) -> ComparatorProgress:
        self._stack.enter_context(own_randomness(self._device))
        self._stack.enter_context(self._stop)
        self._clock = time.monotonic()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._tick()
        self._stack.close()

    def advance(self, step: int, total: int, state: Callable[[], State], **figures: float | Tensor) -> None:
        """Show the step; log a row and save a checkpoint where they are due."""
        if not self._begun:
            self._begun = True
            self._logged = step - 1, self._state.seconds
            begin = self._recorder.begin(done=step - 1, total=total, steps_per_epoch=total)
            self._stack.enter_context(begin)
        self._state.step = step
        self._recorder.advance(step)
        if step % self._record.log_every == 0 or step == total:
            self._log(step, total, {name: float(figure) for name, figure in figures.items()})
        stopped = self._stop.received
        if step % self._record.checkpoint_every == 0 or stopped:
            self._tick()
            self._recorder.save("last", weights={}, state=state(), info=vars(self._state).copy())
        if stopped:
            raise Interrupted(stopped, f"at step {step} of {total}")

    def _log(self, step: int, total: int, figures: dict[str, float]) -> None:
        self._tick()
        before, seconds_before = self._logged
        self._logged = step, self._state.seconds
        pace = max(self._state.seconds - seconds_before, 1e-9) / (step - before)
        row = {"step": step, "seconds": round(self._state.seconds, 3), "seconds_left": round((total - step) * pace, 3)}
        self._recorder.log({**row, **figures})

    def _tick(self) -> None:
        now = time.monotonic()
        self._state.seconds += now - self._clock
        self._clock = now
