"""Scores as a CSV table, for the test images and for new ones alike."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Sequence


def scores_csv(
    names: Sequence[str], scores: Iterable[float | None], threshold: float, **columns: Sequence[object]
) -> str:
    """Return a table: path, anomaly_score (higher = more anomalous, above 0 = abnormal), decision and more columns.

    An image without a score (None) has empty fields for score and decision.
    """
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["path", "anomaly_score", "decision", *columns])
    for name, score, *rest in zip(names, scores, *columns.values(), strict=True):
        if score is None:
            writer.writerow([name, "", "", *rest])
            continue
        decision = "normal" if score >= threshold else "abnormal"
        writer.writerow([name, f"{threshold - score:.8g}", decision, *rest])
    return printable(text.getvalue())


def printable(text: str) -> str:
    """Return text that UTF-8 can encode: bytes of a file name that are not UTF-8 are escaped, as in ``\\udcff``."""
    return text.encode("utf-8", "backslashreplace").decode("utf-8")
