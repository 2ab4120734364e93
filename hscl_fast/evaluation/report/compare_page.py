"""Renders the comparison of runs as one self-contained HTML file."""

from __future__ import annotations

from collections.abc import Sequence

from hscl_fast.evaluation.comparison import EvaluatedRun, different_options, is_same_test, lead_over
from hscl_fast.evaluation.report.curves import Detected, precision_recall, roc
from hscl_fast.evaluation.report.rendering import render
from hscl_fast.evaluation.report.training_curves import training_curves


def render_comparison(runs: Sequence[EvaluatedRun]) -> bytes:
    """Return the page: one table, the curves of all runs over one another, and the options that differ."""
    same = is_same_test(runs)
    detected = [Detected(run.name, run.anomaly_scores, run.abnormal, run.summary.threshold) for run in runs]
    context = {
        "runs": runs,
        "same": same,
        "leads": [lead_over(run, runs[0]) if same and run is not runs[0] else None for run in runs],
        "roc": roc(detected),
        "precision_recall": precision_recall(detected),
        "curves": training_curves({run.name: run.history for run in runs}),
        "options": different_options(runs),
    }
    return render("compare.html.j2", context)
