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


def _kde() -> type[Comparator]:
    from hscl_fast.comparators.kde import KernelDensityComparator

    return KernelDensityComparator


def _ocsvm() -> type[Comparator]:
    from hscl_fast.comparators.ocsvm import OneClassSVMComparator

    return OneClassSVMComparator


def _ssad() -> type[Comparator]:
    from hscl_fast.comparators.ssad import SSADComparator

    return SSADComparator


def _csi() -> type[Comparator]:
    from hscl_fast.comparators.csi import CsiComparator

    return CsiComparator


COMPARATORS: dict[str, Entry] = {
    "ocsvm": Entry("One-class SVM", "Schoelkopf et al. 2001", "none", False, _ocsvm),
    "isolation_forest": Entry("Isolation forest", "Liu et al. 2008", "none", False, _isolation_forest),
    "kde": Entry("Kernel density", "Parzen 1962", "none", False, _kde),
    "ssad": Entry("SSAD", "Goernitz et al. 2013", "both", False, _ssad),
    "csi": Entry("CSI", "Tack et al. 2020", "none", True, _csi),
}
