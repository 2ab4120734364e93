"""The report of a run: one HTML file that needs nothing else, not even a network."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from importlib.resources import files
from pathlib import PurePath
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt
from jinja2 import Environment, StrictUndefined

from hscl_fast.atomic import write_bytes
from hscl_fast.evaluation.metrics import auroc, decision_metrics
from hscl_fast.evaluation.report import plots

GALLERY_SIZE = 24
NO_VALUE = "—"
STRIP_WIDTH, STRIP_HEIGHT = 300.0, 30.0

DETECTOR_TITLES = {
    "isolation_forest": "Isolation forest",
    "one_class_svm": "One-class SVM",
    "logistic_regression": "Logistic regression",
}


def percent(share: float | None) -> str:
    """Format a share in [0, 1] as a percentage with one decimal, None as a dash."""
    return NO_VALUE if share is None else f"{100 * share:.1f} %"


def duration(seconds: float | None) -> str:
    """Format seconds in the unit a reader would choose, None as a dash."""
    if seconds is None:
        return NO_VALUE
    if seconds < 60:
        return f"{seconds:.1f} s"
    minutes = round(seconds / 60)
    return f"{seconds / 60:.1f} min" if minutes < 60 else f"{minutes // 60} h {minutes % 60} min"


def _figures(summary: Mapping[str, Any]) -> list[dict[str, str]]:
    """Return the headline figures, each with its direction."""
    aupr = summary.get("aupr") or {}
    views = summary.get("views_per_second")
    rows = [
        ("AUROC, pooled", percent(summary.get("auroc")), "higher is better; 50 % is chance"),
        ("AUROC, mean over classes", percent(summary.get("auroc_mean")), "higher is better; 50 % is chance"),
        ("FPR95", percent(summary.get("fpr95")), "lower is better; anomalies accepted with 95 % of normals"),
        ("AUPR, anomalies", percent(aupr.get("abnormal")), "higher is better; anomalies as positives"),
        ("AUPR, normals", percent(aupr.get("normal")), "higher is better; normals as positives"),
        ("Training time", duration(summary.get("train_seconds")), "lower is better"),
        (
            "Views per second",
            NO_VALUE if views is None else f"{views:,.0f}",
            "higher is better; while training",
        ),
    ]
    return [{"name": name, "value": value, "direction": direction} for name, value, direction in rows]


def _comparison(summary: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Return this run and the baselines as rows, best pooled AUROC first."""
    ours = {
        "name": "hscl-fast (this run)",
        "ours": True,
        "auroc": summary.get("auroc"),
        "auroc_mean": summary.get("auroc_mean"),
        "seconds": summary.get("train_seconds"),
        "trained_on": "every training image",
        "note": "Time is training only.",
    }
    others = [
        {**entry, "name": DETECTOR_TITLES.get(name, name), "ours": False}
        for name, entry in (summary.get("baselines") or {}).items()
    ]
    rows = [ours, *others]
    return sorted(rows, key=lambda row: -1.0 if row["auroc"] is None else row["auroc"], reverse=True)


def _verdict(comparison: Sequence[Mapping[str, Any]]) -> str | None:
    """Say in one sentence how this run compares with the best baseline."""
    ours = next(row["auroc"] for row in comparison if row["ours"])
    best = next((row for row in comparison if not row["ours"] and row["auroc"] is not None), None)
    if ours is None or best is None:
        return None
    points = 100 * (ours - best["auroc"])
    if abs(points) < 0.05:
        return f"This run is within 0.05 points of the best baseline, {best['name']}, in pooled AUROC."
    side = "above" if points > 0 else "below"
    return f"This run is {abs(points):.1f} points {side} the best baseline, {best['name']}, in pooled AUROC."


def _strips(
    scores: plots.Scores,
    threshold: float,
    abnormal: plots.Flags,
    classes: npt.NDArray[np.int64],
    class_names: Sequence[str],
) -> dict[str, Any] | None:
    """Return one row a class with its score distribution: normals, then the hardest anomalies first."""
    if not scores.size:
        return None
    low, high = plots.score_range(scores, threshold)
    rows = []
    for is_abnormal, label in sorted({(bool(a), int(c)) for a, c in zip(abnormal, classes, strict=True)}):
        own = (abnormal == is_abnormal) & (classes == label)
        kept = ~abnormal | own
        rows.append(
            {
                "name": class_names[label],
                "abnormal": is_abnormal,
                "images": int(own.sum()),
                "auroc": auroc(scores[kept], abnormal[kept]) if is_abnormal else None,
                "flagged": float((scores[own] < threshold).mean()),
                "path": plots.density_path(scores[own], low, high, STRIP_WIDTH, STRIP_HEIGHT),
            }
        )
    rows.sort(key=lambda row: (row["abnormal"], -1.0 if row["auroc"] is None else row["auroc"]))
    position = STRIP_WIDTH * (threshold - low) / (high - low)
    return {
        "rows": rows,
        "low": low,
        "high": high,
        "position": position,
        "width": STRIP_WIDTH,
        "height": STRIP_HEIGHT,
    }


def _gallery(order: npt.NDArray[np.intp], images: Mapping[str, Any], threshold: float) -> list[dict[str, Any]]:
    """Return the first images of ``order`` with their score, class and what was misjudged, if anything."""
    tiles = []
    for i in order[:GALLERY_SIZE]:
        score, abnormal = images["scores"][i], bool(images["abnormal"][i])
        flagged = not score >= threshold
        mistake = {(True, False): "false alarm", (False, True): "missed anomaly"}.get((flagged, abnormal))
        tiles.append(
            {
                "source": plots.thumbnail(images["pixels"][i]),
                "score": float(score),
                "class_name": images["class_names"][images["classes"][i]],
                "abnormal": abnormal,
                "mistake": mistake,
                "file": images["names"][i],
                "short": PurePath(images["names"][i]).name,
            }
        )
    return tiles


def _render(context: Mapping[str, Any]) -> bytes:
    environment = Environment(autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)
    environment.filters.update(percent=percent, duration=duration)
    source = files(__package__).joinpath("report.html.j2").read_text(encoding="utf-8")
    # A file name that is not UTF-8 carries surrogates; a question mark in a caption is better than no report.
    return environment.from_string(source).render(context).encode("utf-8", errors="replace")


class Pictures(Protocol):
    """Images uint8 [m, H, W, 3] that can be had one by one."""

    def __getitem__(self, index: int, /) -> npt.NDArray[np.uint8]: ...


def write_report(
    path: str | os.PathLike[str],
    *,
    title: str,
    counts: Mapping[str, int | None],
    config: Mapping[str, Any],
    summary: Mapping[str, Any],
    history: Sequence[dict[str, Any]],
    scores: plots.Scores,
    threshold: float,
    test_images: Pictures,
    abnormal: plots.Flags,
    classes: npt.NDArray[np.int64],
    class_names: Sequence[str],
    names: Sequence[str],
) -> None:
    """Write the self-contained HTML report of a run, in one step.

    Parameters
    ----------
    path
        The HTML file. Its directory must exist.
    title
        Heading of the report.
    counts
        Images by role, such as ``{"labelled normal": 348}``; None where the number is unknown.
    config
        The resolved configuration, sections of plain values.
    summary
        ``auroc``, ``auroc_mean``, ``aupr`` and ``fpr95`` as in :func:`hscl_fast.evaluation.metrics.detection_metrics`,
        ``train_seconds``, ``views_per_second``, ``threshold_source`` in words, and ``baselines`` as in
        :func:`hscl_fast.evaluation.baselines.classic_baselines`. Each may be missing or None.
    history
        Rows of ``metrics.jsonl``, in order.
    scores : float [m]
        Finite normality scores of the test images; higher is more normal.
    threshold
        Images scoring at or above it count as normal.
    test_images : uint8 [m, H, W, 3]
        Test images, of which the few that are shown are read.
    abnormal : bool [m]
        True for anomalies.
    classes : int64 [m]
        True classes, as indices into ``class_names``.
    class_names
        One name a class.
    names
        m names of the test images, such as their paths.

    Raises
    ------
    UsageError
        A score or the threshold is not finite, or shapes differ.
    OSError
        The file cannot be written.
    """
    decision = decision_metrics(scores, abnormal, threshold)
    comparison = _comparison(summary)
    images = {
        "scores": scores,
        "abnormal": abnormal,
        "classes": classes,
        "pixels": test_images,
        "class_names": class_names,
        "names": names,
    }
    context = {
        "title": title,
        "figures": _figures(summary),
        "counts": counts,
        "comparison": comparison,
        "verdict": _verdict(comparison),
        "best": max((row["auroc"] for row in comparison if row["auroc"] is not None), default=None),
        "decision": decision,
        "threshold_source": summary.get("threshold_source"),
        "skipped_updates": max((row.get("skipped_updates") or 0 for row in history), default=0),
        "losses": plots.loss_curves(history),
        "roc": plots.roc(scores, abnormal, threshold),
        "histogram": plots.histogram(scores, abnormal, threshold),
        "strips": _strips(scores, threshold, abnormal, classes, class_names),
        "most_anomalous": _gallery(np.argsort(scores, kind="stable"), images, threshold),
        "borderline": _gallery(np.argsort(np.abs(scores - threshold), kind="stable"), images, threshold),
        "config": config,
    }
    write_bytes(path, _render(context))
