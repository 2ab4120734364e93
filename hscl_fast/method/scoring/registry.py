"""The scores by the names that ``evaluate.scoring`` takes."""

from __future__ import annotations

from hscl_fast.config.sections import ScoringName
from hscl_fast.method.scoring.contrast import ContrastScoring
from hscl_fast.method.scoring.nearest import NearestImageScoring
from hscl_fast.method.scoring.prototypes import PrototypeScoring, RotationScoring
from hscl_fast.method.scoring.released import ReleasedScoring
from hscl_fast.method.scoring.scoring import Scoring

SCORINGS: dict[ScoringName, type[Scoring]] = {
    "paper": PrototypeScoring,
    "rotations": RotationScoring,
    "contrast": ContrastScoring,
    "released": ReleasedScoring,
    "knn": NearestImageScoring,
}
