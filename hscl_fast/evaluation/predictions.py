"""The scores of new images, in the order that a user asks for, as a CSV table or as JSON."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from hscl_fast.atomic import json_bytes
from hscl_fast.evaluation.scores_csv import printable, scores_csv


@dataclass(frozen=True)
class Predictions:
    """New images with their scores.

    Parameters
    ----------
    names
        The name of every image.
    scores
        Its normality score, or None if it has none.
    errors
        Why it has none, in one line; otherwise empty.
    threshold
        Images with a lower normality score are abnormal.
    places
        The place of every image among those that were given.
    """

    names: Sequence[str]
    scores: Sequence[float | None]
    errors: Sequence[str]
    threshold: float
    places: Sequence[int]

    def most_anomalous_first(self, top: int | None = None) -> Predictions:
        """Return them sorted, at most ``top`` images that have a score; those without one come last, and all of them.

        Images of equal scores stay in order.
        """
        scored = sorted((score, row) for row, score in enumerate(self.scores) if score is not None)
        failed = [row for row, score in enumerate(self.scores) if score is None]
        return self._take([row for _, row in scored[:top]] + failed)

    def csv(self) -> str:
        """Return the table ``path,anomaly_score,decision,error``."""
        return scores_csv(self.names, self.scores, self.threshold, error=self.errors)

    def json(self, **facts: object) -> str:
        """Return a JSON object of some facts, the threshold, and ``images`` as in the table; null in empty places."""
        images = []
        for name, score, error in zip(self.names, self.scores, self.errors, strict=True):
            shown = None if score is None else _rounded(-score)
            images.append(
                {
                    "path": printable(name),
                    "anomaly_score": shown,
                    "decision": None if score is None else decision(score, self.threshold),
                    "error": printable(error) or None,
                }
            )
        direction = "a higher anomaly_score is more anomalous; abnormal if it is above the threshold"
        whole: dict[str, Any] = {**facts, "threshold": _rounded(-self.threshold), "direction": direction}
        return json_bytes({**whole, "images": images}).decode("ascii")

    def _take(self, rows: Sequence[int]) -> Predictions:
        return Predictions(
            [self.names[row] for row in rows],
            [self.scores[row] for row in rows],
            [self.errors[row] for row in rows],
            self.threshold,
            [self.places[row] for row in rows],
        )


def decision(score: float, threshold: float) -> str:
    """Return ``normal`` or ``abnormal`` for a normality score."""
    return "normal" if score >= threshold else "abnormal"


def _rounded(value: float) -> float:
    """Return a number as the table has it."""
    return float(f"{value:.8g}")
