"""The figures in the top row of a report, and all others in a table."""

from __future__ import annotations

from dataclasses import dataclass

from hscl_fast.counted import counted
from hscl_fast.evaluation.report.rendering import NO_VALUE, duration, number, percent
from hscl_fast.evaluation.summary import Summary


@dataclass(frozen=True)
class HeadlineFigure:
    """A figure with what it means."""

    name: str
    value: str
    meaning: str


def top_row(summary: Summary) -> list[HeadlineFigure]:
    """Return what a user decides by: only what there is, never a dash."""
    found, figures = summary.decisions, []
    if found.recall_abnormal is not None:
        anomalies = found.true_positives + found.false_negatives
        caught = f"{found.true_positives:,} of {counted(anomalies, 'anomaly', 'anomalies')} flagged; higher is better"
        figures.append(
            HeadlineFigure("Recall", percent(found.recall_abnormal), caught + _shares(summary.recall_interval))
        )
    if found.false_alarm_rate is not None:
        normals = found.false_positives + found.true_negatives
        alarms = f"{found.false_positives:,} of {counted(normals, 'normal image')} flagged; lower is better"
        alarms += _shares(summary.false_alarm_interval)
        figures.append(HeadlineFigure("False alarms", percent(found.false_alarm_rate), alarms))
    source = f"an image is abnormal above it; source: {summary.threshold_source}"
    if summary.threshold_interval is not None:
        low, high = map(number, summary.threshold_interval)
        source += f"; 95 % interval {low} to {high}"
    figures.append(HeadlineFigure("Threshold", number(summary.threshold), source))
    if summary.auroc is not None:
        figures.append(HeadlineFigure("AUROC, pooled", percent(summary.auroc), _interval(summary)))
    else:
        unlabelled = "the run learns what is normal from these and the labelled ones"
        figures.append(HeadlineFigure("Unlabelled images", f"{summary.counts.unlabelled:,}", unlabelled))
    return figures


def _shares(interval: tuple[float, float] | None) -> str:
    if interval is None:
        return ""
    low, high = (f"{100 * end:.1f}" for end in interval)
    return f"; 95 % interval {low} to {high} %"


def _interval(summary: Summary) -> str:
    if summary.auroc_interval is None:
        return "higher is better; 50 % is chance"
    low, high = (f"{100 * end:.1f}" for end in summary.auroc_interval)
    return f"95 % interval {low} to {high} %; 50 % is chance"


def all_figures(summary: Summary) -> list[HeadlineFigure]:
    """Return the figures that are not in the top row, those without a value left out."""
    found, views = summary.decisions, summary.views_per_second
    rates = summary.score_images_per_second
    rows = [
        ("AUROC, mean over anomaly classes ↑", percent(summary.auroc_mean), "every anomaly class weighs the same"),
        ("FPR95 ↓", percent(summary.fpr95), "anomalies accepted along with 95 % of the normals"),
        ("AUPR, anomalies ↑", percent(summary.aupr.abnormal), "average precision, anomalies as positives"),
        ("AUPR, normals ↑", percent(summary.aupr.normal), "average precision, normals as positives"),
        ("Balanced accuracy ↑", percent(found.balanced_accuracy), "mean of recall and of normals accepted"),
        ("Accuracy ↑", percent(found.accuracy), "right decisions at the threshold"),
        ("Precision ↑", percent(found.precision_abnormal), "anomalies among the flagged images"),
        ("AUROC, held-out images ↑", percent(summary.held_out_auroc_best), "which chose the checkpoint best"),
        ("Training time", duration(summary.train_seconds), ""),
        ("Views per second", NO_VALUE if views is None else f"{views:,.0f}", "while training"),
        ("Images per second", NO_VALUE if rates is None else f"{rates:,.0f}", "while scoring"),
    ]
    return [HeadlineFigure(*row) for row in rows if row[1] != NO_VALUE]
