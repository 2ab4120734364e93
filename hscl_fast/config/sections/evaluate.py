"""``evaluate``: scoring and the threshold."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

from hscl_fast.config.scores import AUTO, parse_scoring
from hscl_fast.config.sections.requirements import require, require_counts
from hscl_fast.errors import UsageError

CheckpointName = Literal["last", "best"]


@dataclass(frozen=True)
class EvaluateConfig:
    """Scoring and evaluation.

    Parameters
    ----------
    checkpoint
        Which checkpoint is evaluated: ``last`` or ``best`` (on held-out labelled images).
    scoring
        Normality score: ``auto`` (chosen by the AUROC on held-out labelled images), ``paper`` (Eq. 9), ``rotations``
        (the mean of Eq. 9 over four rotations), ``corners`` (over four crops, one in each corner),
        ``rotation_likelihood`` (log-probabilities of the rotation classifier), ``contrast`` (Eq. 9 minus half the
        similarity to the mean labelled anomaly), ``released`` (that of the released code, with 10 crops x 4 rotations
        and rotation logits) or, on features, ``knn`` (cosine to the nearest training images), ``mahalanobis`` (distance
        from them), ``regression`` (on the labels) or ``corner_regression`` (the same on the mean features of the four
        crops), or ``pixels`` (an isolation forest on the images themselves). Several joined by ``+``, such as
        ``contrast+knn``, are standardised on the training images and added.
    batch_size
        Images per batch while scoring.
    threshold
        Decision threshold: images with a higher anomaly score are abnormal (null: fitted).
    max_false_alarms
        Fits the threshold so that at most this share of the normal images is called abnormal, in (0, 1), on the
        held-out normals and the unlabelled images (null: by balanced accuracy on the held-out labelled images).
    contamination
        With max_false_alarms: the share of the unlabelled images, in [0, 1), that is suspected to be anomalies. That
        many with the highest scores are not taken for normals.
    """

    checkpoint: CheckpointName = "last"
    scoring: str = "auto"
    batch_size: int = 500
    threshold: float | None = None
    max_false_alarms: float | None = None
    contamination: float = 0.1

    def __post_init__(self) -> None:
        self._require_one_threshold()
        try:
            scoring = self.scoring if self.scoring == AUTO else "+".join(parse_scoring(self.scoring))
        except ValueError as error:
            raise UsageError(f"--evaluate.scoring {error}") from None
        object.__setattr__(self, "scoring", scoring)  # so that two spellings of one configuration are equal
        require_counts("evaluate", self, ("batch_size",))

    def _require_one_threshold(self) -> None:
        value, share, suspected = self.threshold, self.max_false_alarms, self.contamination
        if value is not None:
            require(math.isfinite(value), "evaluate.threshold", value, "a finite anomaly score")
        if share is not None:
            require(0 < share < 1, "evaluate.max_false_alarms", share, "a share in (0, 1), such as 0.02")
        require(0 <= suspected < 1, "evaluate.contamination", suspected, "a share in [0, 1), such as 0.1")
        if value is not None and share is not None:
            raise UsageError(
                f"--evaluate.threshold is {value} and --evaluate.max_false_alarms is {share}, but only one of them can "
                "set the threshold. Leave one out."
            )
