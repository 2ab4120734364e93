"""The scores that a run has recorded of its test images."""

from __future__ import annotations

import csv
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from hscl_fast.csv_text import escaped
from hscl_fast.runs.directory import Results


def recorded_scores(results: Results, names: Sequence[str]) -> NDArray[np.float64] | None:
    """Return the anomaly scores of images by their names, or None where ``scores.csv`` does not have all of them."""
    try:
        with results.scores.open(encoding="utf-8", newline="") as file:
            found = {row["path"]: float(row["anomaly_score"]) for row in csv.DictReader(file)}
        return np.array([found[escaped(name)] for name in names])
    except (OSError, ValueError, KeyError, TypeError, csv.Error):
        return None
