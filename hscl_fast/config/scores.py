"""The names of the normality scores, what a run must have for each, and sums of them such as ``contrast+knn``."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, get_args

from hscl_fast.spelling import did_you_mean

ScoreName = Literal[
    "paper",
    "rotations",
    "corners",
    "rotation_likelihood",
    "contrast",
    "released",
    "knn",
    "mahalanobis",
    "regression",
    "corner_regression",
    "pixels",
]


@dataclass(frozen=True)
class Needs:
    """What a score needs.

    Attributes
    ----------
    prototypes
        Trained prototypes.
    rotation_head
        The trained rotation classifier.
    unlabelled
        Two training images or more that are not labelled anomalies.
    labels
        Labelled normals and labelled anomalies among the training images.
    """

    prototypes: bool = False
    rotation_head: bool = False
    unlabelled: bool = False
    labels: bool = False


NEEDS: dict[ScoreName, Needs] = {
    "paper": Needs(prototypes=True),
    "rotations": Needs(prototypes=True),
    "corners": Needs(prototypes=True),
    "rotation_likelihood": Needs(rotation_head=True),
    "contrast": Needs(prototypes=True, unlabelled=True),
    "released": Needs(prototypes=True, rotation_head=True, unlabelled=True),
    "knn": Needs(unlabelled=True),
    "mahalanobis": Needs(unlabelled=True),
    "regression": Needs(unlabelled=True, labels=True),
    "corner_regression": Needs(unlabelled=True, labels=True),
    "pixels": Needs(unlabelled=True),
}
AUTO = "auto"  # chosen on held-out images
SCORE_NAMES: tuple[ScoreName, ...] = get_args(ScoreName)


def parse_scoring(text: str) -> tuple[ScoreName, ...]:
    """Return the scores that ``evaluate.scoring`` names, in the order of the list above.

    Raises
    ------
    ValueError
        A name is unknown or there twice; the message is a predicate.

    Examples
    --------
    >>> parse_scoring("knn+contrast")
    ('contrast', 'knn')
    """
    names = text.split("+")
    for name in names:
        if name not in SCORE_NAMES:
            which = f", in which {name!r} is unknown" if len(names) > 1 else ""
            raise ValueError(
                f"is {text!r}{which}, but must be {AUTO}, one of {', '.join(SCORE_NAMES)}, or several of these joined "
                f"by +.{did_you_mean(name, (AUTO, *SCORE_NAMES))}"
            )
    if len(set(names)) < len(names):
        raise ValueError(f"is {text!r}, but may name a score only once.")
    return tuple(name for name in SCORE_NAMES if name in names)


def needs_of(scoring: str) -> Needs:
    """Return what all scores of a sum need together; a sum standardises its scores on the training images."""
    names = parse_scoring(scoring)
    needs = [NEEDS[name] for name in names]
    return Needs(
        prototypes=any(each.prototypes for each in needs),
        rotation_head=any(each.rotation_head for each in needs),
        unlabelled=len(names) > 1 or any(each.unlabelled for each in needs),
        labels=any(each.labels for each in needs),
    )
