"""A logistic regression on the labelled images, on the features of a trained encoder."""

from __future__ import annotations

from typing import Any

from hscl_fast.comparators.blocks.frozen_features import FrozenFeaturesComparator
from hscl_fast.method.feature_estimators import logistic_regression


class FeaturesRegressionComparator(FrozenFeaturesComparator):
    """It sees the labelled images only, and their labels of both kinds. It has one mode."""

    learns_from_labels = True

    def estimator(self) -> Any:
        """Return it, untrained."""
        return logistic_regression()
