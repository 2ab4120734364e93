"""What a detector to compare with is, and how it is trained and measured without sight of the test images."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Literal, Protocol

import numpy as np
import numpy.typing as npt

from hscl_fast.counted import counted
from hscl_fast.evaluation.baselines.baseline import Baseline, Figures, not_run

Rows = npt.NDArray[np.float32]
Roles = npt.NDArray[np.int8]
Normal = npt.NDArray[np.bool_]
Scores = npt.NDArray[np.float64]
Measure = Callable[[Scores], Figures]


class Estimator(Protocol):
    """The part of scikit-learn's interface that a detector needs."""

    def fit(self, rows: Rows, normal: Normal | None = None, /) -> Any:
        """Train on rows ``[n, F]``, and on which of them are normal where the detector learns from labels."""

    def decision_function(self, rows: Rows, /) -> Scores:
        """Return a score for each row, higher for normals."""


@dataclass(frozen=True)
class Detector:
    """A detector to compare with.

    Parameters
    ----------
    title
        Its name in the report.
    on
        What its rows are: ``pixels`` or ``features`` of the encoder.
    build
        Builds it, untrained, from the number of training rows, their length and a seed.
    note
        How it sees an image; ``{rows}`` stands for what the rows are.
    from_labels
        It is trained on the labelled images and their labels; otherwise on all images that are not labelled anomalies,
        pollution included, without labels.
    most_images
        It is trained on at most so many images, drawn at random.
    """

    title: str
    on: Literal["pixels", "features"]
    build: Callable[[int, int, int], Estimator]
    note: str
    from_labels: bool = False
    most_images: int | None = None


def measured(
    detectors: Mapping[str, Detector],
    training: Rows,
    roles: Roles,
    test: Rows,
    measure: Measure,
    *,
    rows: str,
    seed: int,
    seconds: float = 0.0,
) -> dict[str, Baseline]:
    """Train detectors and measure them on the test images.

    A detector is trained by ``fit``, which is given nothing but training rows, and scores each test row by itself.

    Parameters
    ----------
    detectors
        By name.
    training, roles
        float32 [n, F] and int8 [n]: +1 labelled normal, 0 unlabelled, -1 labelled anomaly.
    test
        float32 [m, F].
    measure
        Returns the figures of the test images' scores.
    rows
        What the rows are, in words.
    seed
        Of the detectors and of the choice of training images.
    seconds
        Time to compute the rows, which is part of every detector's.
    """
    return {
        name: _measured(detector, training, roles, test, measure, detector.note.format(rows=rows), seed, seconds)
        for name, detector in detectors.items()
    }


def _measured(
    detector: Detector, training: Rows, roles: Roles, test: Rows, measure: Measure, note: str, seed: int, seconds: float
) -> Baseline:
    known = training[roles != 0] if detector.from_labels else training[roles >= 0]
    normal = roles[roles != 0] > 0 if detector.from_labels else None
    trained_on, missing = _population(known, normal)
    if not len(test):
        missing = "there is no test image"
    if missing:
        return not_run(trained_on, f"Not run: {missing}.")
    start = time.perf_counter()
    if detector.most_images is not None and len(known) > detector.most_images:
        chosen = np.random.default_rng(seed).choice(len(known), detector.most_images, replace=False)
        known, normal = known[chosen], None if normal is None else normal[chosen]
        trained_on = f"{len(known):,} random ones of {trained_on}"
    scores = detector.build(len(known), known.shape[1], seed).fit(known, normal).decision_function(test)
    figures = measure(scores)
    seconds += time.perf_counter() - start
    return Baseline(figures.auroc, figures.auroc_mean, seconds, trained_on, note, figures.deviation)


def _population(known: Rows, normal: Normal | None) -> tuple[str, str]:
    """Return the training images in words, and what is missing among them, if anything is."""
    if normal is None:
        few = "fewer than two training images are not labelled anomalies" if len(known) < 2 else ""
        return f"{counted(len(known), 'training image')}, unlabelled or normal", few
    one_sided = "it needs labelled normals and labelled anomalies" if normal.all() or not normal.any() else ""
    normals, anomalies = int(normal.sum()), int((~normal).sum())
    return (
        f"{counted(normals, 'labelled normal')} and {counted(anomalies, 'labelled anomaly', 'labelled anomalies')}",
        one_sided,
    )
