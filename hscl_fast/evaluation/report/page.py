"""Renders the report of a run as one self-contained HTML file."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from datetime import datetime
from typing import Any

from hscl_fast.config.methods import HSCL
from hscl_fast.config.recipes.closest import closest_recipe
from hscl_fast.data.split.duplicates import Duplicate
from hscl_fast.data.types import Remark
from hscl_fast.evaluation.about import About
from hscl_fast.evaluation.metrics import checked_scores
from hscl_fast.evaluation.report.curves import Detected, precision_recall, roc
from hscl_fast.evaluation.report.galleries import false_alarms, missed_anomalies, most_suspicious
from hscl_fast.evaluation.report.headline import all_figures, top_row
from hscl_fast.evaluation.report.heat import Heat
from hscl_fast.evaluation.report.histograms import strips, test_histogram, training_histogram
from hscl_fast.evaluation.report.operating_points import operating_points
from hscl_fast.evaluation.report.rendering import render
from hscl_fast.evaluation.report.scored import RankedImages, ScoredImages
from hscl_fast.evaluation.report.training_curves import training_curves
from hscl_fast.evaluation.report.verdict import statements
from hscl_fast.evaluation.summary import Summary

MOST_DUPLICATES = 50


def render_report(
    summary: Summary,
    scored: ScoredImages,
    *,
    name: str,
    ranked: RankedImages | None = None,
    heat: Heat | None = None,
    config: Mapping[str, Mapping[str, Any]],
    history: Sequence[dict[str, Any]],
    remarks: Sequence[Remark] = (),
    duplicates: Sequence[Duplicate] = (),
) -> bytes:
    """Return the self-contained HTML report of a run.

    Parameters
    ----------
    summary
        The figures.
    scored
        The test images and their scores.
    name
        Of the run, and of the evaluation if it is not the run's own.
    ranked
        The unlabelled training images with their ranking; None without any.
    heat
        How heat maps are made; None: the pictures have none.
    config
        The resolved configuration, sections of plain values.
    history
        Rows of ``metrics.jsonl``, in order.
    remarks
        How the data was read, where that is worth saying.
    duplicates
        Pictures that the data has twice, in uses that contradict each other; the first 50 are listed.

    Raises
    ------
    UsageError
        A score is not finite, or shapes differ.
    """
    test, threshold = scored.images, summary.threshold
    scores, _ = checked_scores(scored.anomaly_scores, test.abnormal)
    detected = [Detected("this run", scores, test.abnormal, threshold)]
    recipe, differences = closest_recipe(config)
    both = summary.auroc is not None
    context = {
        "name": name,
        "summary": summary,
        "facts": facts(summary),
        "statements": statements(summary),
        "figures": top_row(summary),
        "all_figures": all_figures(summary),
        "counts": asdict(summary.counts),
        "suspects": None if ranked is None else most_suspicious(ranked, heat),
        "training_histogram": None if ranked is None else training_histogram(ranked.suspects, threshold),
        "heat_method": None if heat is None else heat.method,
        "missed": missed_anomalies(scored, threshold, heat) if test.abnormal.any() else None,
        "false_alarms": false_alarms(scored, threshold, heat) if not test.abnormal.all() else None,
        "points": asdict(operating_points(scores, test.abnormal, threshold)) if both else None,
        "histogram": test_histogram(scored, threshold),
        "roc": roc(detected),
        "precision_recall": precision_recall(detected),
        "strips": strips(scored, threshold),
        "curves": training_curves({"this run": history}),
        "skipped_updates": max((row.get("skipped_updates") or 0 for row in history), default=0),
        "standings": summary.standings,
        "remarks": remarks,
        "duplicates": duplicates[:MOST_DUPLICATES],
        "duplicate_count": len(duplicates),
        "recipe": recipe,
        "differences": differences,
        "config": config,
    }
    return render("report.html.j2", context)


def facts(summary: Summary) -> list[tuple[str, str]]:
    """Return what was evaluated, when and on what, each with its name."""
    about = summary.about
    step = f"{summary.step:,}" if about.total_steps is None else f"{summary.step:,} of {about.total_steps:,}"
    method = [] if summary.method == HSCL else [("Method", summary.method)]
    return [
        *method,
        ("Data", f"{summary.data}, {summary.normal_class} against the rest"),
        ("Date", datetime.fromisoformat(about.date).strftime("%-d %B %Y, %H:%M %Z")),
        ("Step", f"{step}, checkpoint {summary.checkpoint}"),
        ("Scored on", about.device),
        ("Image size", _size(about)),
    ]


def _size(about: About) -> str:
    seen = f"{about.image_size} x {about.image_size} px"
    if about.original_size is None:
        return seen
    width, height = about.original_size
    ratio = max(about.original_size) / about.image_size
    change = (
        f"shrunk {ratio:.3g}-fold" if ratio > 1 else f"enlarged {1 / ratio:.3g}-fold" if ratio < 1 else "as they are"
    )
    return f"{seen}; the originals have {width:,} x {height:,} px (median), {change}"
