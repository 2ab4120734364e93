"""How a run stands among the simple detectors of its split: all of them in order, and who is best in a sentence."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from hscl_fast.evaluation.baselines.baseline import Baseline
from hscl_fast.evaluation.baselines.registry import DETECTORS

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


def standings(ours: Baseline, baselines: Mapping[str, Baseline]) -> list[Standing]:
    """Return the run and the detectors it is compared with, best pooled AUROC first, those not run last."""
    entries = [Standing("hscl-fast (this run)", None, ours)]
    for name, result in baselines.items():
        detector = DETECTORS[name]
        entries.append(Standing(detector.title, _ON[detector.on], result))
    return sorted(entries, key=lambda entry: -1.0 if entry.result.auroc is None else entry.result.auroc, reverse=True)


def verdict(ordered: Sequence[Standing]) -> str | None:
    """Return a sentence that names the best of some standings first, or None if there is nothing to compare."""
    ours = next(entry for entry in ordered if entry.is_ours).result.auroc
    best = next((entry for entry in ordered if not entry.is_ours and entry.result.auroc is not None), None)
    if ours is None or best is None or best.result.auroc is None:
        return None
    points = 100 * (ours - best.result.auroc)
    if abs(points) < _LEVEL:
        return f"Best: this run and {best.full_title}, within {_LEVEL} points of each other in pooled AUROC."
    if points > 0:
        return f"Best: this run, {points:.1f} points of pooled AUROC above {best.full_title}."
    return f"Best: {best.full_title}, {-points:.1f} points of pooled AUROC above this run."
