"""The result of a simple detector beside a run's."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Figures:
    """How good a detector's scores of the test images are.

    Attributes
    ----------
    auroc, auroc_mean
        As in :class:`hscl_fast.evaluation.metrics.Detection`.
    deviation
        As in :class:`Baseline`.
    """

    auroc: float | None
    auroc_mean: float | None
    deviation: float | None = None


@dataclass(frozen=True)
class Baseline:
    """The result of one detector.

    Attributes
    ----------
    auroc, auroc_mean
        As in :class:`hscl_fast.evaluation.metrics.Detection`; None where it was not run.
    seconds
        Time to train and score; with features, the time to compute them is included in every detector's.
    trained_on, note
        The training images, and remarks, in words.
    deviation
        The standard error of the difference between its AUROC and the run's, on the same images; None where unknown.
    """

    auroc: float | None
    auroc_mean: float | None
    seconds: float | None
    trained_on: str
    note: str
    deviation: float | None = None


def not_run(trained_on: str, note: str) -> Baseline:
    """Return a result without figures; ``note`` says why there are none."""
    return Baseline(None, None, None, trained_on, note)
