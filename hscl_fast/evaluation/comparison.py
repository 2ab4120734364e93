"""Puts evaluated runs side by side: their figures, their differences, and in what they were configured differently."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from hscl_fast.evaluation.metrics import NORMAL_95, Flags, Scores, paired_deviation
from hscl_fast.evaluation.summary import Summary

_LEAST = 2  # images of either kind, without which there is no variance


@dataclass(frozen=True, eq=False)
class EvaluatedRun:
    """One of the runs.

    Attributes
    ----------
    name
        What it is called here, unlike the others.
    summary
        Its figures.
    test
        Name and class of each test image.
    abnormal : bool [m]
        True for anomalies.
    anomaly_scores : float64 [m]
        Higher is more anomalous.
    history
        Rows of ``metrics.jsonl``.
    config
        The configuration, sections of plain values.
    """

    name: str
    summary: Summary
    test: tuple[tuple[str, str], ...]
    abnormal: Flags
    anomaly_scores: Scores
    history: Sequence[dict[str, Any]]
    config: Mapping[str, Mapping[str, Any]]


def is_same_test(runs: Sequence[EvaluatedRun]) -> bool:
    """Return whether all runs were tested on the same images, with the same labels."""
    first = runs[0]
    return all(
        run.test == first.test
        and run.summary.data == first.summary.data
        and np.array_equal(run.abnormal, first.abnormal)
        for run in runs
    )


def lead_over(run: EvaluatedRun, first: EvaluatedRun) -> tuple[float, float, float] | None:
    """Return how many points of AUROC a run is ahead of another on the same images, with the 95 % interval (DeLong).

    None where there is no AUROC, or too few images for an interval.
    """
    ours, theirs = run.summary.auroc, first.summary.auroc
    if ours is None or theirs is None or min(run.abnormal.sum(), (~run.abnormal).sum()) < _LEAST:
        return None
    points = 100 * (ours - theirs)
    margin = 100 * NORMAL_95 * paired_deviation(-run.anomaly_scores, -first.anomaly_scores, run.abnormal)
    return points, points - margin, points + margin


def different_options(runs: Sequence[EvaluatedRun]) -> list[tuple[str, list[Any]]]:
    """Return the options in which the runs are not all alike, ``section.field``, with the value of each run."""
    names = dict.fromkeys((section, name) for run in runs for section, values in run.config.items() for name in values)
    found = []
    for section, name in names:
        values = [run.config.get(section, {}).get(name) for run in runs]
        if any(value != values[0] for value in values):
            found.append((f"{section}.{name}", values))
    return found
