"""The methods that a run can be trained by: HSCL, and the comparators in the order of the paper's tables."""

from __future__ import annotations

HSCL = "hscl"
METHODS = (
    HSCL,
    "ocsvm",
    "isolation_forest",
    "kde",
    "deep_svdd",
    "deep_sad",
    "ssad",
    "ss_dgm",
    "goad",
    "e3outlier",
    "csi",
    "elsa",
    "elsa_plus",
    "fixmatch",
    "dividemix",
    "aug_lnl",
    "features_knn",
    "features_mean",
    "features_regression",
    "loe",
)
