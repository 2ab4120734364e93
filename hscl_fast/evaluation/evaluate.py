"""Evaluates a trained network on a split: scores, threshold and figures."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from rich.console import Console

from hscl_fast.config.scores import ScoreName
from hscl_fast.config.sections import EvaluateConfig
from hscl_fast.console import say
from hscl_fast.counted import counted
from hscl_fast.data.split.split import Split
from hscl_fast.data.types import ABNORMAL, NORMAL, UNLABELLED, TestImages, take
from hscl_fast.evaluation.baselines.baseline import Baseline
from hscl_fast.evaluation.candidates import Candidate, choose
from hscl_fast.evaluation.compare import compare, is_comparable
from hscl_fast.evaluation.convention import anomaly_scores
from hscl_fast.evaluation.decisions import Decisions, decide
from hscl_fast.evaluation.encoder_features import FeatureTape, Taped, complete_features
from hscl_fast.evaluation.fitted_threshold import FittedThreshold, ThresholdScores
from hscl_fast.evaluation.metrics import Detection, detection_metrics
from hscl_fast.evaluation.suspects import Suspects, find_suspects, left_out_folds
from hscl_fast.evaluation.threshold import ShareIntervals, choose_threshold, share_intervals
from hscl_fast.method.encode import CachedFeatures
from hscl_fast.method.image_batches import ImageSequence
from hscl_fast.method.network import Network
from hscl_fast.method.scoring.image_scorer import ImageScorer
from hscl_fast.method.scoring.scoring import Scoring
from hscl_fast.progress import image_progress

Scores = NDArray[np.float64]

AS_CONFIGURED = "as configured"


@dataclass(frozen=True)
class Evaluation:
    """The results of scoring a split.

    Attributes
    ----------
    scoring, scoring_source
        The calibrated score, and why it is this one, in words.
    candidates
        The scores it was chosen among; empty if there was no choice.
    anomaly_scores : float64 [m]
        Of the test images; higher is more anomalous.
    threshold
        The decision threshold.
    detection, decisions, intervals
        The figures of the test images.
    images_per_second
        Test images scored per second; None without test images.
    baselines
        Simple detectors on the same split; empty if the test images lack normals or anomalies.
    suspects
        The ranking of the unlabelled training images; None if there are none, or on other test images.
    threshold_scores
        What the threshold was fitted to; None on other test images.
    """

    scoring: ImageScorer
    scoring_source: str
    candidates: list[Candidate]
    anomaly_scores: Scores
    threshold: FittedThreshold
    detection: Detection
    decisions: Decisions
    intervals: ShareIntervals
    images_per_second: float | None
    baselines: dict[str, Baseline]
    suspects: Suspects | None = None
    threshold_scores: ThresholdScores | None = None


def evaluate(
    scoring: Scoring,
    split: Split,
    console: Console,
    *,
    seed: int,
    candidates: Sequence[str] = (),
    scoring_source: str = AS_CONFIGURED,
    rule: EvaluateConfig | None = None,
    suspicion: str | None = None,
    initial: Network | str | None = None,
    cached: CachedFeatures | None = None,
) -> Evaluation:
    """Calibrate on the training images, choose a score, fit the threshold, score the test images and compare.

    Test labels affect neither calibration nor choice nor threshold.

    Parameters
    ----------
    scoring
        The score of the trained network, and with it all scores that ``candidates`` and ``suspicion`` name; it is
        calibrated here.
    split
        The images and their roles.
    console
        Console for progress.
    seed
        Seed of the detectors to compare with.
    candidates
        The scores to choose among, in the order of preference. With one there is no choice, and none stands for all of
        ``scoring``.
    scoring_source
        Why the score is this one if there is no choice, in words.
    rule
        How the threshold comes about: see :func:`hscl_fast.evaluation.threshold.choose_threshold`; None: as by default.
    suspicion
        The score that ranks the unlabelled images; None: that of the evaluation.
    initial
        A network whose encoder is the pretrained one as it was before training, on whose features detectors are
        compared as well: that of ``scoring`` if its encoder is frozen. A sentence says why there is none; None stands
        for an encoder from scratch.
    cached
        What a frozen encoder has made of the training and the held-out images already; None if it has not.
    """
    images, roles = split.training.images, split.training.roles
    known: ImageSequence = take(images, roles >= 0)
    anomalies: ImageSequence = take(images, roles == ABNORMAL)
    held_out: ImageSequence = split.held_out.images
    if cached is not None:
        known, anomalies = cached.of_training(known, roles >= 0), cached.of_training(anomalies, roles == ABNORMAL)
        held_out = cached.of_held_out(held_out)
    tape = FeatureTape()
    if initial is scoring.network:
        scoring.on_features = tape
    with image_progress(console, "calibrating", len(known)) as advance:
        scoring.calibrate(known, advance, normal=roles[roles >= 0] == NORMAL, anomalies=anomalies)
    everything = scoring
    training = tape.cut() if cached is None else Taped.of_training(cached.views[:, 0].numpy(), roles, cached.seconds)
    each: dict[ScoreName, Scores] = {}
    if len(held_out):
        with image_progress(console, "scoring held-out images", len(held_out)) as advance:
            each = scoring.score_each(held_out, advance)
    chosen: list[Candidate] = []
    if len(candidates) > 1:
        chosen = _choose(scoring, candidates, each, split.held_out.roles == ABNORMAL)
        scoring = scoring.narrowed(next(candidate.scoring for candidate in chosen if candidate.chosen))
        scoring_source = f"chosen of {len(chosen)} on {counted(len(split.held_out.roles), 'held-out labelled image')}"
    elif candidates:
        scoring = scoring.narrowed(candidates[0])
    if scoring_source != AS_CONFIGURED:
        say(console, f"score {scoring.name}, {scoring_source}")
    threshold_scores = _threshold_scores(scoring, split, each, console)
    threshold = choose_threshold(rule or EvaluateConfig(), threshold_scores)
    with console.status("ranking suspects"):
        ranked_by = scoring if suspicion is None else everything.narrowed(suspicion)
        suspects = find_suspects(scoring, ranked_by, split, threshold.value)
    tape.cut()
    found = evaluate_calibrated(scoring, split.test, split.class_names, split.normal_class, threshold, console)
    taped_test, scoring.on_features = tape.cut(), None
    found = replace(
        found, candidates=chosen, scoring_source=scoring_source, suspects=suspects, threshold_scores=threshold_scores
    )
    if not is_comparable(split):
        return found
    features = (
        complete_features(split, initial, scoring, console, training=training, test=taped_test)
        if isinstance(initial, Network)
        else initial
    )
    with console.status("comparing with simple detectors"):
        return replace(found, baselines=compare(split, features, -found.anomaly_scores, seed=seed))


def _choose(
    scoring: Scoring, candidates: Sequence[str], each: dict[ScoreName, Scores], abnormal: NDArray[np.bool_]
) -> list[Candidate]:
    narrowed = {name: scoring.narrowed(name) for name in candidates}
    scores = {name: candidate.summed(each) for name, candidate in narrowed.items()}
    return choose(scores, {name: candidate.passes for name, candidate in narrowed.items()}, abnormal)


def evaluate_calibrated(
    scoring: ImageScorer,
    test: TestImages,
    class_names: Sequence[str],
    normal_class: int,
    threshold: FittedThreshold,
    console: Console,
) -> Evaluation:
    """Score test images with a calibrated score and a threshold; nothing is fitted, and nothing compared with."""
    with image_progress(console, "scoring", len(test.images)) as advance:
        started = time.perf_counter()
        normality = scoring.score(test.images, advance)
        seconds = time.perf_counter() - started
    scores = anomaly_scores(normality)
    return Evaluation(
        scoring=scoring,
        scoring_source="that of the evaluated run",
        candidates=[],
        anomaly_scores=scores,
        threshold=threshold,
        detection=detection_metrics(normality, test.abnormal, test.classes, class_names, normal_class),
        decisions=decide(scores, test.abnormal, threshold.value),
        intervals=share_intervals(scores, test.abnormal, threshold),
        images_per_second=round(len(scores) / seconds, 1) if len(scores) else None,
        baselines={},
    )


def evaluate_fixed(
    scorer: ImageScorer, split: Split, console: Console, *, seed: int, rule: EvaluateConfig
) -> Evaluation:
    """Fit the threshold of a score that learns nothing more, score the test images and compare.

    Without held-out images the threshold is fitted to the scores of the training images, and a bound on false alarms
    to those of the unlabelled ones, which the detector was trained on.

    Parameters
    ----------
    scorer
        A trained comparator.
    split, console
        The images and their roles; for progress.
    seed
        Seed of the detectors to compare with.
    rule
        How the threshold comes about: see :func:`hscl_fast.evaluation.threshold.choose_threshold`.
    """
    images, roles, held_out = split.training.images, split.training.roles, split.held_out
    unlabelled, known = take(images, roles == UNLABELLED), take(images, roles != ABNORMAL)
    fitted_to = len(held_out.roles) + len(unlabelled) + (0 if len(held_out.roles) else len(known))
    with image_progress(console, "fitting the threshold", fitted_to) as advance:
        scores = ThresholdScores(
            held_out=anomaly_scores(scorer.score(held_out.images, advance)),
            held_out_abnormal=held_out.roles == ABNORMAL,
            unlabelled=anomaly_scores(scorer.score(unlabelled, advance)),
            training=np.zeros(0) if len(held_out.roles) else anomaly_scores(scorer.score(known, advance)),
        )
    threshold = choose_threshold(rule, scores)
    found = evaluate_calibrated(scorer, split.test, split.class_names, split.normal_class, threshold, console)
    found = replace(found, scoring_source="that of the method", threshold_scores=scores)
    if not is_comparable(split):
        return found
    with console.status("comparing with simple detectors"):
        return replace(found, baselines=compare(split, None, -found.anomaly_scores, seed=seed))


def _threshold_scores(
    scoring: Scoring, split: Split, held_out: dict[ScoreName, Scores], console: Console
) -> ThresholdScores:
    """Return the anomaly scores that a threshold can be fitted to."""
    roles, training_roles = split.held_out.roles, split.training.roles
    folds = left_out_folds(training_roles[training_roles != ABNORMAL] == UNLABELLED)
    none = np.zeros(0)
    with console.status("fitting the threshold"):
        left_out = scoring.summed(scoring.score_left_out(folds)) if (folds >= 0).any() else none
    return ThresholdScores(
        held_out=anomaly_scores(scoring.summed(held_out)) if len(roles) else none,
        held_out_abnormal=roles == ABNORMAL,
        unlabelled=anomaly_scores(left_out),
        training=none if len(roles) else anomaly_scores(scoring.known_scores),
    )
