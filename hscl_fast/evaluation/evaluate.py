"""Evaluates a trained network on a split: scores, threshold and figures."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from rich.console import Console

from hscl_fast.counted import counted
from hscl_fast.data.split.split import Split
from hscl_fast.data.types import ABNORMAL, NORMAL, TestImages, take
from hscl_fast.evaluation.baselines.baseline import Baseline
from hscl_fast.evaluation.compare import compare, is_comparable
from hscl_fast.evaluation.encoder_features import FeatureTape, complete_features
from hscl_fast.evaluation.metrics import Detection, detection_metrics
from hscl_fast.evaluation.threshold import Decisions, decide, fit_threshold
from hscl_fast.method.network import Network
from hscl_fast.method.scoring.scoring import Scoring
from hscl_fast.progress import image_progress

Scores = NDArray[np.float64]

_TRAINING_QUANTILE = 0.05


@dataclass(frozen=True)
class Evaluation:
    """The results of scoring a split.

    Attributes
    ----------
    scores : float64 [m]
        Normality scores of the test images.
    threshold, threshold_source
        The decision threshold, and what it was fitted on, in words.
    detection, decisions
        The figures of the test images.
    images_per_second
        Test images scored per second; None without test images.
    baselines
        Simple detectors on the same split; empty if the test images lack normals or anomalies.
    """

    scores: Scores
    threshold: float
    threshold_source: str
    detection: Detection
    decisions: Decisions
    images_per_second: float | None
    baselines: dict[str, Baseline]


def evaluate(
    scoring: Scoring, split: Split, console: Console, *, seed: int, initial: Network | str | None = None
) -> Evaluation:
    """Calibrate a score on the training images, fit the threshold, score the test images and compare.

    Test labels affect neither calibration nor threshold.

    Parameters
    ----------
    scoring
        The score of the trained network; it is calibrated here.
    split
        The images and their roles.
    console
        Console for progress.
    seed
        Seed of the detectors to compare with.
    initial
        A network whose encoder is the pretrained one as it was before training, on whose features detectors are
        compared as well: that of ``scoring`` if its encoder is frozen. A sentence says why there is none; None stands
        for an encoder from scratch.
    """
    images, roles = split.training.images, split.training.roles
    known = take(images, roles >= 0)
    tape = FeatureTape()
    if initial is scoring.network:
        scoring.on_features = tape
    with image_progress(console, "calibrating", len(known)) as advance:
        scoring.calibrate(known, advance, normal=roles[roles >= 0] == NORMAL, anomalies=take(images, roles == ABNORMAL))
    taped_training = tape.cut()
    threshold, threshold_source = _fit_threshold(scoring, split, console)
    tape.cut()
    found = evaluate_calibrated(
        scoring, split.test, split.class_names, split.normal_class, threshold, threshold_source, console
    )
    taped_test, scoring.on_features = tape.cut(), None
    if not is_comparable(split):
        return found
    features = (
        complete_features(split, initial, scoring, console, training=taped_training, test=taped_test)
        if isinstance(initial, Network)
        else initial
    )
    with console.status("comparing with simple detectors"):
        return replace(found, baselines=compare(split, features, seed=seed))


def evaluate_calibrated(
    scoring: Scoring,
    test: TestImages,
    class_names: Sequence[str],
    normal_class: int,
    threshold: float,
    threshold_source: str,
    console: Console,
) -> Evaluation:
    """Score test images with a calibrated score and a threshold; nothing is fitted, and nothing compared with."""
    with image_progress(console, "scoring", len(test.images)) as advance:
        started = time.perf_counter()
        scores = scoring.score(test.images, advance)
        seconds = time.perf_counter() - started
    return Evaluation(
        scores=scores,
        threshold=threshold,
        threshold_source=threshold_source,
        detection=detection_metrics(scores, test.abnormal, test.classes, class_names, normal_class),
        decisions=decide(scores, test.abnormal, threshold),
        images_per_second=round(len(scores) / seconds, 1) if len(scores) else None,
        baselines={},
    )


def _fit_threshold(scoring: Scoring, split: Split, console: Console) -> tuple[float, str]:
    """Fit the decision threshold on held-out labelled images or, if there are none, on the training scores."""
    held_out = split.held_out
    if len(held_out.roles):
        with image_progress(console, "fitting the threshold", len(held_out.images)) as advance:
            scores = scoring.score(held_out.images, advance)
        return fit_threshold(scores, held_out.roles == ABNORMAL), counted(
            len(held_out.roles), "held-out labelled image"
        )
    known = take(split.training.images, split.training.roles >= 0)
    with image_progress(console, "fitting the threshold", len(known)) as advance:
        scores = scoring.score_known(known, advance)
    source = f"{_TRAINING_QUANTILE:.0%} quantile of the training scores (no labelled images were held out)"
    return float(np.quantile(scores, _TRAINING_QUANTILE)), source
