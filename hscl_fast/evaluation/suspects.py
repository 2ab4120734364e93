"""Ranks the unlabelled training images by how likely they are hidden anomalies."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from hscl_fast.config.scores import ScoreName
from hscl_fast.data.split.split import Split
from hscl_fast.data.types import ABNORMAL, UNLABELLED
from hscl_fast.evaluation.convention import anomaly_scores
from hscl_fast.method.scoring.scoring import Scores, Scoring

FOLDS = 5


@dataclass(frozen=True)
class Suspect:
    """An unlabelled training image.

    Attributes
    ----------
    rank
        Its place, from 1, the most suspicious.
    path
        Its name in the split.
    suspicion
        What it is ranked by: higher = likelier a hidden anomaly.
    anomaly_score
        What the run's own score says of it, higher = more anomalous; it has learned from this image too.
    weight
        w of Eq. 5 for its upright view: how much training takes it for a normal image, in [0, 1]. None without
        prototypes.
    uncertainty
        In [0, 1]: 1 where ``anomaly_score`` is the threshold.
    hidden_anomaly
        The truth; None where it is unknown.
    """

    rank: int
    path: str
    suspicion: float
    anomaly_score: float
    weight: float | None
    uncertainty: float
    hidden_anomaly: bool | None


@dataclass(frozen=True)
class SuspectFigures:
    """How good a ranking of suspects is.

    Attributes
    ----------
    ranking
        How it came about, in words.
    unlabelled
        The number of images that are ranked.
    hidden_anomalies
        The number of anomalies among them; None, as all that follow, where it is unknown or there are none.
    precision_at_hidden
        The share of anomalies among the first ``hidden_anomalies`` images.
    average_precision
        The average precision of ``suspicion``.
    random
        What both of these are on average in random order: the share of anomalies.
    """

    ranking: str
    unlabelled: int
    hidden_anomalies: int | None
    precision_at_hidden: float | None
    average_precision: float | None
    random: float | None


@dataclass(frozen=True)
class Suspects:
    """All unlabelled training images.

    Attributes
    ----------
    ranking
        How the ranking came about, in words.
    images
        The images, the most suspicious first.
    """

    ranking: str
    images: tuple[Suspect, ...]

    def at_threshold(self, threshold: float) -> Suspects:
        """Return the same ranking with the uncertainties at another threshold of ``anomaly_score``."""
        scores = np.array([image.anomaly_score for image in self.images])
        pairs = zip(self.images, uncertainties(scores, threshold).tolist(), strict=True)
        return replace(self, images=tuple(replace(image, uncertainty=value) for image, value in pairs))

    @property
    def figures(self) -> SuspectFigures:
        """How good the ranking is."""
        unknown = SuspectFigures(self.ranking, len(self.images), None, None, None, None)
        if not self.images or self.images[0].hidden_anomaly is None:
            return unknown
        hidden = np.array([bool(image.hidden_anomaly) for image in self.images])
        count = int(hidden.sum())
        if not count:
            return replace(unknown, hidden_anomalies=0)
        precisions = np.cumsum(hidden) / np.arange(1, len(hidden) + 1)
        return replace(
            unknown,
            hidden_anomalies=count,
            precision_at_hidden=float(hidden[:count].mean()),
            average_precision=float(precisions[hidden].mean()),
            random=float(hidden.mean()),
        )


def uncertainties(scores: Scores, threshold: float) -> Scores:
    """Return ``exp(-|score - threshold| / deviation)`` of every score, with the standard deviation of them all."""
    return np.exp(-np.abs(scores - threshold) / (scores.std() or 1.0))


def find_suspects(scoring: Scoring, suspicion: Scoring, split: Split, threshold: float) -> Suspects | None:
    """Rank the unlabelled training images.

    No image is ranked by what was learned from itself: the scores learn ``FOLDS`` times from the labelled images and
    four fifths of the unlabelled ones, and say then what they think of the others. The network itself has been trained
    with all of them. The hidden truth has no part in it; it is put beside the ranking.

    Parameters
    ----------
    scoring
        The run's score, calibrated on the training images.
    suspicion
        The scores that are added for the ranking, each minus its mean over the unlabelled images, divided by its
        standard deviation there; calibrated on the same images.
    split
        The images, for their roles and names.
    threshold
        Of anomaly scores.

    Returns
    -------
    Suspects or None
        None if there are no unlabelled images.
    """
    roles = split.training.roles
    unlabelled = roles[roles != ABNORMAL] == UNLABELLED
    if not unlabelled.any():
        return None
    suspicions = -np.sum([*left_out_scores(suspicion, unlabelled).values()], axis=0)
    scores = anomaly_scores(scoring.known_scores[unlabelled])
    similarity = scoring.known_similarity()
    weights = [None] * len(suspicions) if similarity is None else ((similarity[unlabelled] + 1) / 2).clip(0, 1).tolist()
    uncertain = uncertainties(scores, threshold).tolist()
    names = [name for name, role in zip(split.training_names, roles, strict=True) if role == UNLABELLED]
    truth = split.hidden_anomalies
    hidden = [None] * len(suspicions) if truth is None else truth.tolist()
    columns = (names, suspicions.tolist(), scores.tolist(), weights, uncertain, hidden)
    rows = [*zip(*columns, strict=True)]
    order = np.argsort(-suspicions, kind="stable").tolist()
    ranking = f"{suspicion.name}, learned without the image ({FOLDS} folds)"
    return Suspects(ranking, tuple(Suspect(rank, *rows[place]) for rank, place in enumerate(order, 1)))


def left_out_scores(scoring: Scoring, unlabelled: NDArray[np.bool_]) -> dict[ScoreName, Scores]:
    """Return what each score says of every unlabelled image, learned without it, standardised over these images.

    Parameters
    ----------
    scoring
        Calibrated on the training images.
    unlabelled
        bool ``[n]``, which of the images it was calibrated on are unlabelled.
    """
    return {name: _standardised(values) for name, values in scoring.score_left_out(left_out_folds(unlabelled)).items()}


def left_out_folds(unlabelled: NDArray[np.bool_]) -> NDArray[np.int64]:
    """Return the fold of every image, drawn always alike; -1 for those that are never left out."""
    folds = np.full(len(unlabelled), -1, np.int64)
    count = int(unlabelled.sum())
    folds[unlabelled] = np.random.default_rng(0).permutation(count) % min(FOLDS, count)
    return folds


def _standardised(values: Scores) -> Scores:
    return (values - values.mean()) / (values.std() or 1.0)
