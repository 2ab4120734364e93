"""The cosine to the mean of the training images, on the features of a trained encoder."""

from __future__ import annotations

from typing import Any

from hscl_fast.comparators.blocks.frozen_features import FrozenFeaturesComparator
from hscl_fast.method.feature_estimators import MeanSimilarity


class FeaturesMeanComparator(FrozenFeaturesComparator):
    """The mean is over all images that are not labelled anomalies, hidden ones included. It has one mode."""

    def estimator(self) -> Any:
        """Return it, untrained."""
        return MeanSimilarity()
