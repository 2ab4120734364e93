"""The scores by the names that ``evaluate.scoring`` takes."""

from __future__ import annotations

from hscl_fast.config.scores import ScoreName
from hscl_fast.method.scoring.contrast import ContrastScore
from hscl_fast.method.scoring.knn import NeighbourScore
from hscl_fast.method.scoring.mahalanobis import MahalanobisScore
from hscl_fast.method.scoring.pixels import PixelScore
from hscl_fast.method.scoring.prototypes import CornerScore, PrototypeScore, RotationScore
from hscl_fast.method.scoring.regression import CornerRegressionScore, RegressionScore
from hscl_fast.method.scoring.released import ReleasedScore
from hscl_fast.method.scoring.rotation_likelihood import RotationLikelihoodScore
from hscl_fast.method.scoring.score import Score

SCORES: dict[ScoreName, type[Score]] = {
    "paper": PrototypeScore,
    "rotations": RotationScore,
    "corners": CornerScore,
    "rotation_likelihood": RotationLikelihoodScore,
    "contrast": ContrastScore,
    "released": ReleasedScore,
    "knn": NeighbourScore,
    "mahalanobis": MahalanobisScore,
    "regression": RegressionScore,
    "corner_regression": CornerRegressionScore,
    "pixels": PixelScore,
}
