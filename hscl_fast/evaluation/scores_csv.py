"""Scores as a CSV table, for the test images and for new ones alike."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from hscl_fast.csv_text import csv_text
from hscl_fast.evaluation.convention import decision


def scores_csv(
    names: Sequence[str], anomaly_scores: Iterable[float | None], threshold: float, **columns: Sequence[object]
) -> str:
    """Return a table: path, anomaly_score (higher = more anomalous), decision and more columns.

    Every digit of a score is written, so that whoever compares it with the threshold comes to the same decision. An
    image without a score (None) has empty fields for both.
    """
    rows = []
    for name, score, *rest in zip(names, anomaly_scores, *columns.values(), strict=True):
        judged = ("", "") if score is None else (repr(float(score)), decision(score, threshold))
        rows.append((name, *judged, *rest))
    return csv_text(["path", "anomaly_score", "decision", *columns], rows)
