"""What the runs of a plan cost on this machine: steps, views, and the time that follows from measured steps."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from hscl_fast.config.methods import COMPARATORS
from hscl_fast.config.sections import Config, DataConfig, ObjectiveConfig
from hscl_fast.device import resolve_device
from hscl_fast.doctor.estimate import OutOfMemory, Plan, measure
from hscl_fast.reproduce.lengths import Lengths
from hscl_fast.reproduce.plan import EntryRun


@dataclass(frozen=True)
class Cost:
    """The cost of the runs of one method on one data set.

    Attributes
    ----------
    method, data
        What they are runs of.
    runs, done
        Their number, and how many of them have finished.
    steps, views
        Of the training of those that have not, in all; a comparator without a network has none.
    seconds
        The time of these steps, one run after the other; None where it is not known.
    per_step
        The measured seconds of a step of each kind of training.
    """

    method: str
    data: str
    runs: int
    done: int
    steps: int
    views: int
    seconds: float | None
    per_step: tuple[float, ...]


def costs_of(runs: Sequence[tuple[EntryRun, bool]], progress: Callable[[str], None]) -> list[Cost]:
    """Return the cost of runs by method and data.

    Scoring and the detectors that a report compares with are not counted. A comparator that trains a network passes as
    many views through it as HSCL does, so it is expected to take HSCL's time.

    Parameters
    ----------
    runs
        Each with whether it has finished.
    progress
        Called with what is measured now.
    """
    lengths, stopwatch = Lengths(), _Stopwatch(progress)
    groups: dict[tuple[str, str], list[tuple[EntryRun, bool]]] = {}
    for run, done in runs:
        groups.setdefault(run.like, []).append((run, done))
    costs = []
    for (method, data), some in groups.items():
        left = [run.config for run, done in some if not done]
        if method in COMPARATORS and not COMPARATORS[method].has_network:
            costs.append(Cost(method, data, len(some), len(some) - len(left), 0, 0, None, ()))
            continue
        each = [stopwatch.seconds_per_step(config, lengths) for config in left]
        steps = [lengths.steps(config) for config in left]
        known = [count * seconds for count, seconds in zip(steps, each, strict=True) if seconds is not None]
        costs.append(
            Cost(
                method,
                data,
                len(some),
                len(some) - len(left),
                sum(steps),
                sum(lengths.views(config) for config in left),
                sum(known) if len(known) == len(left) else None,
                tuple(sorted({seconds for seconds in each if seconds is not None})),
            )
        )
    return costs


class _Stopwatch:
    """Measures one training step of each kind."""

    def __init__(self, progress: Callable[[str], None]) -> None:
        self._progress = progress
        self._found: dict[tuple[Config, int, int], float | None] = {}

    def seconds_per_step(self, config: Config, lengths: Lengths) -> float | None:
        """Return the mean seconds of a few steps; None if a step does not fit in the memory of this machine."""
        size, batch = lengths.image_size(config), lengths.batch(config)
        # Only what changes the time of a step, and no method: a comparator takes HSCL's.
        config = Config(
            data=DataConfig(image_size=size),
            model=replace(config.model, prototypes=1),
            objective=ObjectiveConfig(
                config.objective.name,
                rotated_roles=config.objective.rotated_roles,
                shift_loss=config.objective.shift_loss,
            ),
            augment=config.augment,
            optim=replace(config.optim, epochs=1, max_steps=None),
            runtime=replace(config.runtime, seed=0),
        )
        key = config, size, batch
        if key not in self._found:
            self._progress(f"measuring a step of {batch} images of {size} px")
            device = resolve_device(config.runtime.device)
            plan = Plan("", 0, size, batch, None, batch, None, None)
            try:
                self._found[key] = measure(plan, config, device).seconds_per_step
            except OutOfMemory:
                self._found[key] = None
        return self._found[key]
