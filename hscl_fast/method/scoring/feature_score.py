"""The base class of the scores on the directions of features, which need no prototypes."""

from __future__ import annotations

import numpy as np
from hscl_kernels import unit
from numpy.typing import NDArray
from torch import Tensor

from hscl_fast.method.network import Features
from hscl_fast.method.scoring.score import Score
from hscl_fast.method.scoring.views import Outputs


class FeatureScore(Score):
    """Scores unit features ``u [B, F]`` of the upright view.

    They are the encoder's, from before the projection head, if the encoder began with trained weights. From scratch the
    embeddings serve better: all that a short training has learned is what the objective asks of them.
    """

    def evidence(self, outputs: Outputs) -> Tensor:
        """Return the unit features."""
        return self.directions(outputs.turns)[0]

    def directions(self, features: Features) -> Tensor:
        """Return the unit features ``[..., F]`` of views."""
        return unit(features.encoder if self.network.starts_trained else features.embeddings)

    @property
    def width(self) -> int:
        """F, the number of features."""
        return self.network.encoder_features if self.network.starts_trained else self.network.prototypes.shape[1]


def as_array(features: Tensor) -> NDArray[np.float64]:
    """Return features in float64 on the CPU, for scikit-learn."""
    return features.double().cpu().numpy()
