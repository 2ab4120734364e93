"""Scores the same images with the run and with its export, batch by batch in turn."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from statistics import median
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray
from rich.console import Console

from hscl_fast.data.types import Images
from hscl_fast.export.formats import Model
from hscl_fast.export.images import OwnSizeImages
from hscl_fast.export.reference import Reference
from hscl_fast.progress import image_progress

_Found = TypeVar("_Found")


@dataclass(frozen=True)
class SideBySide:
    """What both have said, and how long each took.

    Attributes
    ----------
    ours, theirs
        The anomaly scores of the run and of the export, ``[n]``.
    abnormal
        The decisions of the export, ``[n]``.
    batches
        The number of batches whose time was taken.
    our_speed, their_speed
        Decoded images per second: the median over the batches.
    """

    ours: NDArray[np.float64]
    theirs: NDArray[np.float32]
    abnormal: NDArray[np.bool_]
    batches: int
    our_speed: float
    their_speed: float


def score_side_by_side(reference: Reference, model: Model, images: OwnSizeImages, console: Console) -> SideBySide:
    """Score images with both; which of them is first changes from batch to batch."""
    ours, theirs, decisions = [], [], []
    speeds: list[tuple[float, float]] = []
    with image_progress(console, "comparing", len(images.readers)) as advance:
        for number, batch in enumerate(images.batches()):
            if not number:  # the first call of either prepares it
                reference(batch)
                model(batch)
            if number % 2:
                found, our_seconds = _timed(reference, batch)
                (scores, abnormal), their_seconds = _timed(model, batch)
            else:
                (scores, abnormal), their_seconds = _timed(model, batch)
                found, our_seconds = _timed(reference, batch)
            speeds.append((len(batch) / our_seconds, len(batch) / their_seconds))
            ours.append(found)
            theirs.append(scores)
            decisions.append(abnormal)
            advance(len(batch))
    our_speed, their_speed = (median(side) for side in zip(*speeds, strict=True))
    return SideBySide(
        np.concatenate(ours), np.concatenate(theirs), np.concatenate(decisions), len(speeds), our_speed, their_speed
    )


def _timed(score: Callable[[Images], _Found], batch: Images) -> tuple[_Found, float]:
    started = time.perf_counter()
    found = score(batch)
    return found, time.perf_counter() - started
