"""``evaluate.scoring: auto``: the scores that a run can have, and the choice among them on held-out labelled images."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from hscl_fast.config.scores import AUTO, needs_of
from hscl_fast.config.sections import Config, ObjectiveConfig
from hscl_fast.data.types import ABNORMAL, NORMAL, Roles
from hscl_fast.evaluation.metrics import Flags, Scores, auroc, paired_deviation
from hscl_fast.evaluation.scorable import is_scorable, require_scorable

# The orders of preference, from the trials in docs/accuracy.md. Held-out anomalies are of the known kinds only, and a
# sum of unlike scores depends least on which kinds these are, so sums come first. From scratch the first look at four
# corners, which is worth four passes of the network, and have a part of the pixels, which know neither label nor
# network. Distances in a space learned from scratch find few anomalies of other kinds, and would spoil a sum. Two kinds
# of scores are missing: the released one, which takes 40 passes per image, and regressions by themselves, which were
# fitted on the kinds that are held out and would win.
FROM_SCRATCH = (
    "corners+corner_regression+pixels",
    "corners+corner_regression",
    "paper+regression+pixels",
    "paper+regression",
    "paper+mahalanobis+regression",
    "contrast+knn+mahalanobis+regression",
    "paper+rotation_likelihood+regression",
    "mahalanobis+regression",
    "corners",
    "paper",
    "contrast",
    "rotations",
    "mahalanobis",
    "knn",
    "rotation_likelihood",
)
# Large images are dear: four turns of all training images would take longer than all the rest of a frozen run.
PRETRAINED = (
    "mahalanobis+regression",
    "paper+mahalanobis+regression",
    "contrast+knn+mahalanobis+regression",
    "paper+mahalanobis",
    "mahalanobis",
    "contrast",
    "paper",
    "knn",
)
MARGIN = 2.0  # standard errors of the difference within which two AUROCs count as equal
LEAST_HELD_OUT = 10  # images of either label; the AUROC of fewer says little


@dataclass(frozen=True)
class Candidate:
    """A score among which ``auto`` has chosen.

    Attributes
    ----------
    scoring
        The score, or the scores that are added.
    held_out_auroc
        Its AUROC on the held-out labelled images.
    passes
        Views per image that pass the network.
    chosen
        Whether it is the choice.
    """

    scoring: str
    held_out_auroc: float
    passes: int
    chosen: bool


def candidate_scorings(config: Config, training: Roles, held_out: Roles) -> tuple[str, ...]:
    """Return the scorings to choose among, in the order of preference; a single one if there is no choice.

    Parameters
    ----------
    config
        The run's configuration; a ``config.evaluate.scoring`` other than ``auto`` is the only one.
    training, held_out
        int8 ``[n]``, the roles of the training and of the held-out images. With fewer than ten held-out images of
        either label it is the first that this run can have.

    Raises
    ------
    UsageError
        The training images do not suffice for the configured scoring, or for any.
    """
    if config.evaluate.scoring != AUTO:
        require_scorable(config.evaluate.scoring, training)
        return (config.evaluate.scoring,)
    possible = _possible(config, training)
    if not possible:
        require_scorable("knn", training)  # which every network has
    enough = all((held_out == role).sum() >= LEAST_HELD_OUT for role in (NORMAL, ABNORMAL))
    return possible if enough else possible[:1]


def suspicion_scoring(config: Config, training: Roles) -> str | None:
    """Return the score that ranks suspects: the first in the order of preference that the run can have, or None.

    Parameters
    ----------
    config
        The run's configuration, whose ``evaluate.scoring`` has no part in it.
    training
        int8 ``[n]``, the roles of the training images.
    """
    return next(iter(_possible(config, training)), None)


def _possible(config: Config, training: Roles) -> tuple[str, ...]:
    preference = PRETRAINED if config.model.starts_trained else FROM_SCRATCH
    return tuple(name for name in preference if _is_trained(name, config.objective) and is_scorable(name, training))


def choose(scores: Mapping[str, Scores], passes: Mapping[str, int], abnormal: npt.NDArray[np.bool_]) -> list[Candidate]:
    """Choose a score by its AUROC on held-out images.

    Of all whose AUROC is not lower than the best by more than two standard errors of the difference, the choice is the
    first.

    Parameters
    ----------
    scores
        By name, in the order of preference: float ``[m]``, the scores of the held-out images.
    passes
        By name: views per image, which have no part in the choice.
    abnormal : bool [m]
        True for the labelled anomalies; there are at least two of either label.

    Returns
    -------
    list
        All of them, in the same order.

    Raises
    ------
    UsageError
        A score is not finite.
    """
    found = {name: _auroc(values, abnormal) for name, values in scores.items()}
    best = max(found, key=lambda name: found[name])
    close = [
        name
        for name in scores
        if found[best] - found[name] <= MARGIN * paired_deviation(scores[best], scores[name], abnormal)
    ]
    return [Candidate(name, found[name], passes[name], name == close[0]) for name in scores]


def all_scores(candidates: Sequence[str]) -> str:
    """Return the scores that occur in some candidates, joined by ``+``."""
    return "+".join(dict.fromkeys(name for candidate in candidates for name in candidate.split("+")))


def _auroc(values: Scores, abnormal: Flags) -> float:
    value = auroc(values, abnormal)
    assert value is not None  # both labels are there
    return value


def _is_trained(scoring: str, objective: ObjectiveConfig) -> bool:
    needs = needs_of(scoring)
    return (objective.lambda_prototype > 0 or not needs.prototypes) and (
        objective.shift_loss or not needs.rotation_head
    )
