"""The base class of the scores on the directions of the encoder's features, which need no prototypes."""

from __future__ import annotations

import numpy as np
from hscl_kernels import unit
from numpy.typing import NDArray
from torch import Tensor

from hscl_fast.method.scoring.score import Score
from hscl_fast.method.scoring.views import Outputs


class FeatureScore(Score):
    """Scores unit features ``u [B, F]`` of the upright view, from before the projection head."""

    def evidence(self, outputs: Outputs) -> Tensor:
        """Return the unit features."""
        return unit(outputs.turns.encoder[0])

    @property
    def width(self) -> int:
        """F, the number of features."""
        return self.network.encoder_features


def as_array(features: Tensor) -> NDArray[np.float64]:
    """Return features in float64 on the CPU, for scikit-learn."""
    return features.double().cpu().numpy()
