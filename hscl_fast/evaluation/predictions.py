"""The scores of new images, in the order that a user asks for, as a CSV table or as JSON."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from hscl_fast.atomic import json_bytes
from hscl_fast.csv_text import escaped
from hscl_fast.evaluation.convention import SCORE_DIRECTION, decision
from hscl_fast.evaluation.scores_csv import scores_csv


@dataclass(frozen=True)
class Predictions:
    """New images with their scores.

    Parameters
    ----------
    names
        The name of every image.
    anomaly_scores
        Its score, higher = more anomalous, or None if it has none.
    errors
        Why it has none, in one line; otherwise empty.
    threshold
        Images with a higher score are abnormal.
    places
        The place of every image among those that were given.
    """

    names: Sequence[str]
    anomaly_scores: Sequence[float | None]
    errors: Sequence[str]
    threshold: float
    places: Sequence[int]

    def most_anomalous_first(self, top: int | None = None) -> Predictions:
        """Return them sorted, at most ``top`` images that have a score; those without one come last, and all of them.

        Images of equal scores stay in order.
        """
        scored = sorted((-score, row) for row, score in enumerate(self.anomaly_scores) if score is not None)
        failed = [row for row, score in enumerate(self.anomaly_scores) if score is None]
        return self.take([row for _, row in scored[:top]] + failed)

    def csv(self) -> str:
        """Return the table ``path,anomaly_score,decision,error``."""
        return scores_csv(self.names, self.anomaly_scores, self.threshold, error=self.errors)

    def json(self, **facts: object) -> str:
        """Return a JSON object of some facts, the threshold, and ``images`` as in the table; null in empty places."""
        images = []
        for name, score, error in zip(self.names, self.anomaly_scores, self.errors, strict=True):
            images.append(
                {
                    "path": escaped(name),
                    "anomaly_score": score,
                    "decision": None if score is None else decision(score, self.threshold),
                    "error": escaped(error) or None,
                }
            )
        whole: dict[str, Any] = {**facts, "threshold": self.threshold, "score_direction": SCORE_DIRECTION}
        return json_bytes({**whole, "images": images}).decode("ascii")

    def take(self, rows: Sequence[int]) -> Predictions:
        """Return some of them, by their places here."""
        return Predictions(
            [self.names[row] for row in rows],
            [self.anomaly_scores[row] for row in rows],
            [self.errors[row] for row in rows],
            self.threshold,
            [self.places[row] for row in rows],
        )
