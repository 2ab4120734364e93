"""The methods that a run can be trained by: HSCL, and the comparators in the order of the paper's tables."""

from __future__ import annotations

from dataclasses import dataclass

HSCL = "hscl"


@dataclass(frozen=True)
class Method:
    """A comparator, in ``hscl_fast/comparators/NAME.py``.

    Attributes
    ----------
    title
        Its name in tables.
    source
        The publication: authors and year.
    labels
        Which labels it learns from: ``none``, ``anomalies`` or ``both``.
    has_network
        Whether it trains a network.
    class_name
        Its class in that file.
    """

    title: str
    source: str
    labels: str
    has_network: bool
    class_name: str


COMPARATORS: dict[str, Method] = {
    "ocsvm": Method("One-class SVM", "Schoelkopf et al. 2001", "none", False, "OneClassSVMComparator"),
    "isolation_forest": Method("Isolation forest", "Liu et al. 2008", "none", False, "IsolationForestComparator"),
    "kde": Method("Kernel density", "Parzen 1962", "none", False, "KernelDensityComparator"),
    "deep_svdd": Method("Deep SVDD", "Ruff et al. 2018", "none", True, "DeepSVDDComparator"),
    "deep_sad": Method("Deep SAD", "Ruff et al. 2020", "anomalies", True, "DeepSADComparator"),
    "ssad": Method("SSAD", "Goernitz et al. 2013", "both", False, "SSADComparator"),
    "ss_dgm": Method("SS-DGM", "Kingma et al. 2014", "both", True, "SSDGMComparator"),
    "goad": Method("GOAD", "Bergman and Hoshen 2020", "none", True, "GoadComparator"),
    "e3outlier": Method("E3Outlier", "Wang et al. 2019", "none", True, "E3OutlierComparator"),
    "csi": Method("CSI", "Tack et al. 2020", "none", True, "CsiComparator"),
    "elsa": Method("Elsa", "Han et al. 2021", "both", True, "ElsaComparator"),
    "elsa_plus": Method("Elsa+", "Han et al. 2021", "both", True, "ElsaPlusComparator"),
    "fixmatch": Method("FixMatch", "Sohn et al. 2020", "both", True, "FixMatchComparator"),
    "dividemix": Method("DivideMix", "Li et al. 2020", "both", True, "DivideMixComparator"),
    "aug_lnl": Method("Aug-LNL", "Nishi et al. 2021", "both", True, "AugLnlComparator"),
    "features_knn": Method("kNN on features", "Sun et al. 2022", "none", False, "FeaturesKNNComparator"),
    "features_mean": Method("Mean of features", "no publication", "none", False, "FeaturesMeanComparator"),
    "features_regression": Method(
        "Regression on features", "no publication", "both", False, "FeaturesRegressionComparator"
    ),
    "loe": Method("LOE", "Qiu et al. 2022", "both", True, "LOEComparator"),
}
METHODS = (HSCL, *COMPARATORS)
