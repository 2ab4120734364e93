"""The run's own score of a test image, and the threshold, depend on no other test image, label or hidden truth."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
import torch
from conftest import tiny_config

from hscl_fast.config.sections import AugmentConfig
from hscl_fast.console import silent
from hscl_fast.data.split.split import Split
from hscl_fast.device import Execution
from hscl_fast.evaluation import evaluate as evaluation
from hscl_fast.evaluation.evaluate import Evaluation, evaluate
from hscl_fast.method.network import build_network
from hscl_fast.method.scoring import views
from hscl_fast.method.scoring.registry import SCORES
from hscl_fast.method.scoring.scoring import Scoring

WATCHED, M = 6, 12
ALL = "+".join(SCORES)  # a sum changes with each of its scores


@pytest.fixture(scope="module")
def split(digits: Split) -> Split:
    """Some of the digits; of the test images the first are watched, and every second one is abnormal."""
    some = np.r_[:24, -6:0]
    images, roles = digits.training.images[some], np.r_[np.zeros(22), 1, 1, -np.ones(6)].astype(np.int8)
    fewer = replace(digits, training=replace(digits.training, images=images, roles=roles))
    return with_test(fewer, digits.test.images[:M], np.arange(M) % 2 == 1)


@pytest.fixture(scope="module")
def scored() -> Callable[[Split], Evaluation]:
    network = build_network(tiny_config(model={"prototypes": 3}).model, 8, rotation_head=True, seed=0).eval()

    def score(split: Split) -> Evaluation:
        scoring = Scoring(ALL, network, Execution(torch.device("cpu")), 64, AugmentConfig())
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(evaluation, "compare", lambda *given, **options: {})  # test_leaks.py is about those
            patch.setattr(evaluation, "find_suspects", lambda *given: None)  # test_suspects.py is about those
            patch.setattr(views, "CROPS", 1)  # of ten, which take time
            return evaluate(scoring, split, silent(), seed=0)

    return score


@pytest.fixture(scope="module")
def plain(scored: Callable[[Split], Evaluation], split: Split) -> Evaluation:
    return scored(split)


def with_test(split: Split, images: np.ndarray, abnormal: np.ndarray) -> Split:
    names = tuple(map(str, range(len(images))))
    test = replace(split.test, images=images, abnormal=abnormal, classes=abnormal.astype(np.int64), names=names)
    return replace(split, test=test)


def others_are_white(split: Split) -> Split:
    images = np.full_like(split.test.images, 255)
    images[:WATCHED] = split.test.images[:WATCHED]
    return with_test(split, images, split.test.abnormal)


def others_are_training_images(split: Split) -> Split:
    images = np.concatenate([split.test.images[:WATCHED], split.training.images[:M]])
    return with_test(split, images, np.arange(len(images)) % 2 == 1)


def others_are_left_out(split: Split) -> Split:
    return with_test(split, split.test.images[:WATCHED], split.test.abnormal[:WATCHED])


def labels_are_exchanged(split: Split) -> Split:
    return with_test(split, split.test.images, ~split.test.abnormal)


def hidden_truth_is_permuted(split: Split) -> Split:
    train = split.record.train.model_copy(update={"label": split.record.train.label[::-1]})
    return replace(split, record=split.record.model_copy(update={"train": train}))


@pytest.mark.parametrize(
    "change",
    [
        others_are_white,
        others_are_training_images,
        others_are_left_out,
        labels_are_exchanged,
        hidden_truth_is_permuted,
    ],
)
def test_no_score_learns_from_the_test(
    scored: Callable[[Split], Evaluation], split: Split, plain: Evaluation, change: Callable[[Split], Split]
) -> None:
    found = scored(change(split))
    # Up to rounding, because the order of a product's sums may depend on the batch.
    np.testing.assert_allclose(found.anomaly_scores[:WATCHED], plain.anomaly_scores[:WATCHED], rtol=1e-3, atol=1e-4)
    assert found.threshold.value == pytest.approx(plain.threshold.value, abs=1e-4)
    assert np.ptp(plain.anomaly_scores[:WATCHED]) > 0.1


def test_a_calibration_on_the_test_images_would_be_noticed(
    scored: Callable[[Split], Evaluation], split: Split, plain: Evaluation
) -> None:
    both = np.concatenate([split.training.images, split.test.images])
    roles = np.concatenate([split.training.roles, np.zeros(M, np.int8)])
    leaky = scored(replace(split, training=replace(split.training, images=both, roles=roles)))
    assert np.abs(leaky.anomaly_scores - plain.anomaly_scores)[:WATCHED].max() > 1e-2
