"""All comparators by name, each with what tables say of it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:  # torch would take seconds, and the names alone are often all that is asked for
    from hscl_fast.comparators.comparator import Comparator, Setting


@dataclass(frozen=True)
class Entry:
    """A comparator.

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
    load
        Imports and returns its class.
    """

    title: str
    source: str
    labels: str
    has_network: bool
    load: Callable[[], type[Comparator]]

    def build(self, setting: Setting) -> Comparator:
        """Return it, untrained."""
        return self.load()(setting)


def _isolation_forest() -> type[Comparator]:
    from hscl_fast.comparators.isolation_forest import IsolationForestComparator

    return IsolationForestComparator


def _deep_sad() -> type[Comparator]:
    from hscl_fast.comparators.deep_sad import DeepSADComparator

    return DeepSADComparator


def _deep_svdd() -> type[Comparator]:
    from hscl_fast.comparators.deep_svdd import DeepSVDDComparator

    return DeepSVDDComparator


def _features_knn() -> type[Comparator]:
    from hscl_fast.comparators.features_knn import FeaturesKNNComparator

    return FeaturesKNNComparator


def _features_mean() -> type[Comparator]:
    from hscl_fast.comparators.features_mean import FeaturesMeanComparator

    return FeaturesMeanComparator


def _features_regression() -> type[Comparator]:
    from hscl_fast.comparators.features_regression import FeaturesRegressionComparator

    return FeaturesRegressionComparator


def _kde() -> type[Comparator]:
    from hscl_fast.comparators.kde import KernelDensityComparator

    return KernelDensityComparator


def _loe() -> type[Comparator]:
    from hscl_fast.comparators.loe import LOEComparator

    return LOEComparator


def _ocsvm() -> type[Comparator]:
    from hscl_fast.comparators.ocsvm import OneClassSVMComparator

    return OneClassSVMComparator


def _ssad() -> type[Comparator]:
    from hscl_fast.comparators.ssad import SSADComparator

    return SSADComparator


def _csi() -> type[Comparator]:
    from hscl_fast.comparators.csi import CsiComparator

    return CsiComparator


def _goad() -> type[Comparator]:
    from hscl_fast.comparators.goad import GoadComparator

    return GoadComparator


def _e3outlier() -> type[Comparator]:
    from hscl_fast.comparators.e3outlier import E3OutlierComparator

    return E3OutlierComparator


def _elsa() -> type[Comparator]:
    from hscl_fast.comparators.elsa import ElsaComparator

    return ElsaComparator


def _elsa_plus() -> type[Comparator]:
    from hscl_fast.comparators.elsa_plus import ElsaPlusComparator

    return ElsaPlusComparator


def _fixmatch() -> type[Comparator]:
    from hscl_fast.comparators.fixmatch import FixMatchComparator

    return FixMatchComparator


def _dividemix() -> type[Comparator]:
    from hscl_fast.comparators.dividemix import DivideMixComparator

    return DivideMixComparator


def _aug_lnl() -> type[Comparator]:
    from hscl_fast.comparators.aug_lnl import AugLnlComparator

    return AugLnlComparator


def _ss_dgm() -> type[Comparator]:
    from hscl_fast.comparators.ss_dgm import SSDGMComparator

    return SSDGMComparator


COMPARATORS: dict[str, Entry] = {
    "ocsvm": Entry("One-class SVM", "Schoelkopf et al. 2001", "none", False, _ocsvm),
    "isolation_forest": Entry("Isolation forest", "Liu et al. 2008", "none", False, _isolation_forest),
    "kde": Entry("Kernel density", "Parzen 1962", "none", False, _kde),
    "deep_svdd": Entry("Deep SVDD", "Ruff et al. 2018", "none", True, _deep_svdd),
    "deep_sad": Entry("Deep SAD", "Ruff et al. 2020", "anomalies", True, _deep_sad),
    "ssad": Entry("SSAD", "Goernitz et al. 2013", "both", False, _ssad),
    "ss_dgm": Entry("SS-DGM", "Kingma et al. 2014", "both", True, _ss_dgm),
    "goad": Entry("GOAD", "Bergman and Hoshen 2020", "none", True, _goad),
    "e3outlier": Entry("E3Outlier", "Wang et al. 2019", "none", True, _e3outlier),
    "csi": Entry("CSI", "Tack et al. 2020", "none", True, _csi),
    "elsa": Entry("Elsa", "Han et al. 2021", "both", True, _elsa),
    "elsa_plus": Entry("Elsa+", "Han et al. 2021", "both", True, _elsa_plus),
    "fixmatch": Entry("FixMatch", "Sohn et al. 2020", "both", True, _fixmatch),
    "dividemix": Entry("DivideMix", "Li et al. 2020", "both", True, _dividemix),
    "aug_lnl": Entry("Aug-LNL", "Nishi et al. 2021", "both", True, _aug_lnl),
    "features_knn": Entry("kNN on features", "Sun et al. 2022", "none", False, _features_knn),
    "features_mean": Entry("Mean of features", "no publication", "none", False, _features_mean),
    "features_regression": Entry("Regression on features", "no publication", "both", False, _features_regression),
    "loe": Entry("LOE", "Qiu et al. 2022", "both", True, _loe),
}
