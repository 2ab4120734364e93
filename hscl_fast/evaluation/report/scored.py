"""The images that a report is on: the test images with their scores, and the ranked training images."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from hscl_fast.data.originals import Originals
from hscl_fast.data.types import AnyImages, TestImages
from hscl_fast.evaluation.metrics import Scores
from hscl_fast.evaluation.suspects import Suspects


@dataclass(frozen=True)
class ScoredImages:
    """Test images with their scores.

    Attributes
    ----------
    images
        The images and their true classes; only images that are shown are read.
    class_names
        One name per class.
    anomaly_scores : float [m]
        Finite; higher is more anomalous.
    originals
        Their files; None for images in arrays.
    """

    images: TestImages
    class_names: Sequence[str]
    anomaly_scores: Scores
    originals: Originals | None = None


@dataclass(frozen=True)
class RankedImages:
    """The unlabelled training images with their ranking.

    Attributes
    ----------
    suspects
        The ranking.
    images
        All training images; only images that are shown are read.
    names
        One per training image.
    originals
        Their files; None for images in arrays.
    """

    suspects: Suspects
    images: AnyImages
    names: Sequence[str]
    originals: Originals | None = None
