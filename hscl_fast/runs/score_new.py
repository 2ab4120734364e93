"""Scores images that a trained run has not seen."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace

from rich.console import Console

from hscl_fast.config.sections import Config
from hscl_fast.data.new_images import NewImage
from hscl_fast.data.readable import ReadableImages
from hscl_fast.data.types import Decoding
from hscl_fast.device import resolve_device
from hscl_fast.evaluation.convention import anomaly_scores
from hscl_fast.evaluation.predictions import Predictions
from hscl_fast.method.scoring.image_scorer import ImageScorer
from hscl_fast.progress import image_progress
from hscl_fast.runs.backends import prepare_backends
from hscl_fast.runs.calibration import Calibration, load_scorer
from hscl_fast.runs.directory import RunDirectory
from hscl_fast.runs.show import show_slow_precision


def open_scoring(
    directory: RunDirectory, config: Config, evaluation: str | None, console: Console
) -> tuple[ImageScorer, Calibration]:
    """Return a run's calibrated score on the device that the configuration names, ready to score new images.

    Raises
    ------
    UsageError
        As in :func:`load_scorer`, or there is no such device.
    """
    prepare_backends(config.runtime)
    where = resolve_device(config.runtime.device)
    show_slow_precision(where, config.runtime.precision, console)
    return load_scorer(directory, config, where, evaluation)


def decoding_of(config: Config, calibration: Calibration) -> Decoding:
    """Return how new image files are decoded: as those that the run was trained on."""
    data = config.data
    return Decoding(calibration.image_size, data.bit_depth, data.float_white, data.max_megapixels)


def with_options(config: Config, device: str | None, max_megapixels: int | None) -> Config:
    """Return the configuration of a run with what a user gives in place of it; None: as trained."""
    if device is not None:
        config = replace(config, runtime=replace(config.runtime, device=device))
    if max_megapixels is not None:
        config = replace(config, data=replace(config.data, max_megapixels=max_megapixels))
    return config


def score_new(
    scoring: ImageScorer, images: Sequence[NewImage], decoding: Decoding, threshold: float, console: Console
) -> Predictions:
    """Return for each image its anomaly score, or None and the reason for that.

    Parameters
    ----------
    scoring, threshold
        The calibrated score, and the anomaly score above which an image is abnormal.
    images, decoding
        The images, and how their files are decoded.
    console
        For a bar of progress.
    """
    readable = ReadableImages(images, decoding)
    with image_progress(console, "scoring", len(images)) as advance:
        normality = scoring.score_batches(readable.batches(scoring.images_per_batch, advance), advance)
    found = iter(anomaly_scores(normality).tolist())
    scores: list[float | None] = []
    errors: list[str] = []
    for place in range(len(images)):
        score = None if place in readable.bad else next(found)
        error = readable.bad.get(place, "")
        if score is not None and not math.isfinite(score):
            score, error = None, f"its score is {score}, which is not a finite number"
        scores.append(score)
        errors.append(error)
    return Predictions([image.name for image in images], scores, errors, threshold, range(len(images)))
