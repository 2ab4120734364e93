"""All detectors that a run is compared with, by the names that ``summary.json`` has for them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from hscl_fast.evaluation.baselines.baseline import Baseline, not_run
from hscl_fast.evaluation.baselines.detector import Detector
from hscl_fast.evaluation.baselines.features import FEATURE_DETECTORS
from hscl_fast.evaluation.baselines.pixels import PIXEL_DETECTORS

DETECTORS: dict[str, Detector] = {**PIXEL_DETECTORS, **FEATURE_DETECTORS}


def detectors_for(*, pretrained: bool) -> Mapping[str, Detector]:
    """Return the detectors for a run: those on features are for one whose encoder began pretrained."""
    return DETECTORS if pretrained else PIXEL_DETECTORS


def left_out(detectors: Iterable[str], reason: str) -> dict[str, Baseline]:
    """Return results of detectors none of which is run, with the reason as every ``note``."""
    return {name: not_run("nothing", reason) for name in detectors}
