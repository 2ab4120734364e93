"""Scores as a CSV table, for the test images and for new ones alike."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray


def scores_csv(names: Sequence[str], scores: NDArray[np.float64], threshold: float, **columns: Sequence[object]) -> str:
    """Return a table: path, anomaly_score (higher = more anomalous, above 0 = abnormal), decision and more columns."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["path", "anomaly_score", "decision", *columns])
    for name, score, *rest in zip(names, scores, *columns.values(), strict=True):
        decision = "normal" if score >= threshold else "abnormal"
        # A file name that is not UTF-8 is escaped, rather than stopping the table with an error.
        shown = name.encode("utf-8", "backslashreplace").decode("utf-8")
        writer.writerow([shown, f"{threshold - score:.8g}", decision, *rest])
    return text.getvalue()
