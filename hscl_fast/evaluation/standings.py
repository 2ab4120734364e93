"""How a run stands among the simple detectors of its split: all of them in order, and who is best in a sentence."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from hscl_fast.evaluation.baselines.baseline import Baseline
from hscl_fast.evaluation.baselines.registry import DETECTORS
from hscl_fast.evaluation.metrics import NORMAL_95

_ON = {"pixels": "pixels", "features": "encoder features"}
_LEVEL = 0.05  # points of AUROC; less than the last digit that is printed


@dataclass(frozen=True)
class Standing:
    """A detector in the comparison.

    Attributes
    ----------
    title, on
        Its name, and what it sees of an image, in words; ``on`` is None for the run, which sees images.
    result
        Its figures.
    """

    title: str
    on: str | None
    result: Baseline

    @property
    def is_ours(self) -> bool:
        """Whether it is the run itself."""
        return self.on is None

    @property
    def full_title(self) -> str:
        """The name with what it sees, which tells two detectors of one name apart."""
        return self.title if self.on is None else f"{self.title} on {self.on}"


@dataclass(frozen=True)
class Lead:
    """How far the run is ahead of the best detector that it is compared with.

    Attributes
    ----------
    over
        That detector.
    points
        The difference of the pooled AUROCs, in points; negative where the run is behind.
    interval
        Its 95 % confidence interval, from both scores of the same images (DeLong); None where it is unknown.
    """

    over: Standing
    points: float
    interval: tuple[float, float] | None


def standings(ours: Baseline, baselines: Mapping[str, Baseline], *, method: str = "hscl-fast") -> list[Standing]:
    """Return the run and the detectors it is compared with, best pooled AUROC first, those not run last."""
    entries = [Standing(f"{method} (this run)", None, ours)]
    for name, result in baselines.items():
        detector = DETECTORS[name]
        entries.append(Standing(detector.title, _ON[detector.on], result))
    return sorted(entries, key=lambda entry: -1.0 if entry.result.auroc is None else entry.result.auroc, reverse=True)


def best_other(ordered: Sequence[Standing]) -> Standing | None:
    """Return the best of some standings that is not the run, or None if no detector was run."""
    return next((entry for entry in ordered if not entry.is_ours and entry.result.auroc is not None), None)


def lead(ordered: Sequence[Standing]) -> Lead | None:
    """Return how far the run is ahead of the best detector, or None if there is nothing to compare with."""
    ours, best = next(entry for entry in ordered if entry.is_ours).result.auroc, best_other(ordered)
    if ours is None or best is None or best.result.auroc is None:
        return None
    points, deviation = 100 * (ours - best.result.auroc), best.result.deviation
    if deviation is None:
        return Lead(best, points, None)
    margin = 100 * NORMAL_95 * deviation
    return Lead(best, points, (points - margin, points + margin))


def verdict(ordered: Sequence[Standing]) -> str | None:
    """Return a sentence that names the best of some standings first, or None if there is nothing to compare."""
    found = lead(ordered)
    if found is None:
        return None
    other = found.over.full_title
    if abs(found.points) < _LEVEL:
        return f"Best: this run and {other}, within {_LEVEL} points of each other in pooled AUROC."
    first, second = ("this run", other) if found.points > 0 else (other, "this run")
    interval = ""
    if found.interval is not None:
        low, high = found.interval if found.points > 0 else (-found.interval[1], -found.interval[0])
        interval = f" (95 % interval {low:.1f} to {high:.1f})"
    return f"Best: {first}, {abs(found.points):.1f} points of pooled AUROC above {second}{interval}."
