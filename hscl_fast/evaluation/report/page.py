"""Renders the report of a run as one self-contained HTML file."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from importlib.resources import files
from pathlib import PurePath
from typing import Any

import numpy as np
import numpy.typing as npt
from jinja2 import Environment, StrictUndefined

from hscl_fast.counted import counted
from hscl_fast.data.split.duplicates import Duplicate
from hscl_fast.data.types import Remark, TestImages
from hscl_fast.evaluation.metrics import auroc
from hscl_fast.evaluation.report import plots
from hscl_fast.evaluation.summary import Summary

GALLERY_SIZE = 24
MOST_DUPLICATES = 50
NO_VALUE = "—"
STRIP_WIDTH, STRIP_HEIGHT = 300.0, 30.0


def percent(share: float | None) -> str:
    """Format a share in [0, 1] as a percentage with one decimal, None as a dash."""
    return NO_VALUE if share is None else f"{100 * share:.1f} %"


def duration(seconds: float | None) -> str:
    """Format seconds in a readable unit, None as a dash."""
    if seconds is None:
        return NO_VALUE
    if seconds < 60:
        return f"{seconds:.1f} s"
    minutes = round(seconds / 60)
    return f"{seconds / 60:.1f} min" if minutes < 60 else f"{minutes // 60} h {minutes % 60} min"


def _interval(summary: Summary) -> str:
    if summary.auroc_interval is None:
        return "higher is better; 50 % is chance"
    low, high = (f"{100 * end:.1f}" for end in summary.auroc_interval)
    return f"95 % interval {low} to {high} %; 50 % is chance"


def _figures(summary: Summary) -> list[dict[str, str]]:
    """Return the headline figures, each with its direction."""
    views = summary.views_per_second
    rows = [
        ("AUROC, pooled", percent(summary.auroc), _interval(summary)),
        ("AUROC, mean over classes", percent(summary.auroc_mean), "higher is better; 50 % is chance"),
        ("FPR95", percent(summary.fpr95), "lower is better; anomalies accepted along with 95 % of normals"),
        ("AUPR, anomalies", percent(summary.aupr.abnormal), "higher is better; anomalies as positives"),
        ("AUPR, normals", percent(summary.aupr.normal), "higher is better; normals as positives"),
        ("Training time", duration(summary.train_seconds), "lower is better"),
        ("Views per second", NO_VALUE if views is None else f"{views:,.0f}", "higher is better; while training"),
    ]
    return [{"name": name, "value": value, "direction": direction} for name, value, direction in rows]


def _strips(scored: ScoredImages, threshold: float) -> dict[str, Any] | None:
    """Return one row per class with its score distribution: normals, then the hardest anomalies first."""
    scores, abnormal, classes = scored.anomaly_scores, scored.images.abnormal, scored.images.classes
    if not scores.size:
        return None
    low, high = plots.score_range(scores, threshold)
    rows = []
    for is_abnormal, label in sorted({(bool(a), int(c)) for a, c in zip(abnormal, classes, strict=True)}):
        own = (abnormal == is_abnormal) & (classes == label)
        kept = ~abnormal | own
        rows.append(
            {
                "name": scored.class_names[label],
                "abnormal": is_abnormal,
                "images": int(own.sum()),
                "auroc": auroc(-scores[kept], abnormal[kept]) if is_abnormal else None,
                "flagged": float((scores[own] > threshold).mean()),
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


def _gallery(order: npt.NDArray[np.intp], scored: ScoredImages, threshold: float) -> list[dict[str, Any]]:
    """Return the first images of ``order`` with their score, class and mistake, if any."""
    test, tiles = scored.images, []
    for i in order[:GALLERY_SIZE]:
        score, abnormal = scored.anomaly_scores[i], bool(test.abnormal[i])
        flagged = bool(score > threshold)
        mistake = {(True, False): "false alarm", (False, True): "missed anomaly"}.get((flagged, abnormal))
        tiles.append(
            {
                "source": plots.thumbnail(test.images[i]),
                "score": float(score),
                "class_name": scored.class_names[test.classes[i]],
                "abnormal": abnormal,
                "mistake": mistake,
                "file": test.names[i],
                "short": PurePath(test.names[i]).name,
            }
        )
    return tiles


def _render(context: Mapping[str, Any]) -> bytes:
    environment = Environment(autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)
    environment.filters.update(percent=percent, duration=duration)
    source = files(__package__).joinpath("report.html.j2").read_text(encoding="utf-8")
    # A file name that is not UTF-8 carries surrogates; a question mark in a caption is better than no report.
    return environment.from_string(source).render(context).encode("utf-8", errors="replace")


@dataclass(frozen=True)
class ScoredImages:
    """Test images with their scores.

    Attributes
    ----------
    images
        The images and their true classes; only images that are shown are read.
    class_names
        One name per class.
    anomaly_scores : float [m]
        Finite; higher is more anomalous.
    """

    images: TestImages
    class_names: Sequence[str]
    anomaly_scores: plots.Scores


def render_report(
    summary: Summary,
    scored: ScoredImages,
    *,
    config: Mapping[str, Any],
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
    test, scores, threshold = scored.images, scored.anomaly_scores, summary.threshold
    standings = summary.standings
    context = {
        "title": f"{summary.data}: {summary.normal_class} against the rest, {counted(len(test.names), 'test image')}",
        "figures": _figures(summary),
        "counts": asdict(summary.counts),
        "standings": standings,
        "verdict": summary.verdict,
        "warning": summary.advice if summary.is_chance else None,
        "best": standings[0].result.auroc,
        "scoring": summary.scoring,
        "scoring_source": summary.scoring_source,
        "candidates": [vars(candidate) for candidate in summary.candidates],
        "decision": summary.decisions,
        "threshold_source": summary.threshold_source,
        "skipped_updates": max((row.get("skipped_updates") or 0 for row in history), default=0),
        "losses": plots.loss_curves(history),
        "roc": plots.roc(scores, test.abnormal, threshold),
        "histogram": plots.histogram(scores, test.abnormal, threshold),
        "strips": _strips(scored, threshold),
        "most_anomalous": _gallery(np.argsort(-scores, kind="stable"), scored, threshold),
        "borderline": _gallery(np.argsort(np.abs(scores - threshold), kind="stable"), scored, threshold),
        "remarks": [vars(remark) for remark in remarks],
        "duplicates": [vars(pair) for pair in duplicates[:MOST_DUPLICATES]],
        "duplicate_count": len(duplicates),
        "config": config,
    }
    return _render(context)
