"""The rankings by each score and by sums of scores, learned without the images that are ranked."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np

from benchmarks.suspects.rankings import Ranking, truth_of
from hscl_fast.config.scores import parse_scoring
from hscl_fast.console import silent
from hscl_fast.data.open import open_split
from hscl_fast.data.types import ABNORMAL, NORMAL, UNLABELLED, take
from hscl_fast.device import resolve_device
from hscl_fast.evaluation.suspects import left_out_scores
from hscl_fast.method.image_batches import ImageSequence
from hscl_fast.runs.directory import RunDirectory
from hscl_fast.runs.feature_cache import cached_features
from hscl_fast.runs.trained import load_scoring

SINGLE = ("paper", "contrast", "knn", "mahalanobis", "regression")
PIXELS = ("pixels", "paper+regression+pixels")  # not with cached features, beside which no pixels are kept
SUMS = (
    "paper+regression",
    "knn+regression",
    "mahalanobis+regression",
    "paper+mahalanobis+regression",
    "contrast+knn+mahalanobis+regression",
)


def of_scores(run: Path, truth: Path | None) -> list[Ranking]:
    """Return the ranking by each score, and by each sum, that reads one view per image; the run need not be evaluated.

    Parameters
    ----------
    run, truth
        As for :func:`benchmarks.suspects.rankings.of_run`.
    """
    directory = RunDirectory(run)
    trained = directory.load_config()
    ranked_by = (*SINGLE, *SUMS, *(PIXELS if trained.augment.cached_views is None else ()))
    single = [name for name in ranked_by if "+" not in name]
    config = replace(trained, evaluate=replace(trained.evaluate, scoring="+".join(single)))
    split = open_split(directory.recorded_data(config))
    images, roles = split.training.images, split.training.roles
    device = resolve_device(config.runtime.device)
    scoring, _ = load_scoring(directory, config, images.shape[1], device)
    known: ImageSequence = take(images, roles != ABNORMAL)
    anomalies: ImageSequence = take(images, roles == ABNORMAL)
    if config.augment.cached_views is not None:
        cached = cached_features(directory, config, split, scoring.network, scoring.execution, silent())
        known = cached.of_training(take(images, roles != ABNORMAL), roles != ABNORMAL)
        anomalies = cached.of_training(take(images, roles == ABNORMAL), roles == ABNORMAL)
    scoring.calibrate(known, normal=roles[roles != ABNORMAL] == NORMAL, anomalies=anomalies)
    _, hidden = truth_of(split, truth)
    each = left_out_scores(scoring, roles[roles != ABNORMAL] == UNLABELLED)
    summed = {name: np.sum([each[part] for part in parse_scoring(name)], axis=0) for name in ranked_by}
    return [Ranking(name, hidden[np.argsort(normality, kind="stable")]) for name, normality in summed.items()]
