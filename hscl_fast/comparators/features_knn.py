"""The mean cosine to the five nearest training images, on the features of a trained encoder (Sun et al., ICML 2022)."""

from __future__ import annotations

from typing import Any

from hscl_fast.comparators.blocks.frozen_features import FrozenFeaturesComparator
from hscl_fast.method.feature_estimators import NearestNeighbours


class FeaturesKNNComparator(FrozenFeaturesComparator):
    """The neighbours are all images that are not labelled anomalies, hidden ones included. It has one mode."""

    def estimator(self) -> Any:
        """Return it, untrained."""
        return NearestNeighbours()
