"""Scores as a CSV table, for the test images and for new ones alike."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Sequence

from hscl_fast.evaluation.convention import decision


def scores_csv(
    names: Sequence[str], anomaly_scores: Iterable[float | None], threshold: float, **columns: Sequence[object]
) -> str:
    """Return a table: path, anomaly_score (higher = more anomalous), decision and more columns.

    Every digit of a score is written, so that whoever compares it with the threshold comes to the same decision. An
    image without a score (None) has empty fields for both.
    """
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["path", "anomaly_score", "decision", *columns])
    for name, score, *rest in zip(names, anomaly_scores, *columns.values(), strict=True):
        if score is None:
            writer.writerow([name, "", "", *rest])
            continue
        writer.writerow([name, repr(float(score)), decision(score, threshold), *rest])
    return printable(text.getvalue())


def printable(text: str) -> str:
    """Return text that UTF-8 can encode: bytes of a file name that are not UTF-8 are escaped, as in ``\\udcff``."""
    return text.encode("utf-8", "backslashreplace").decode("utf-8")
