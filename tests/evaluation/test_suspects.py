"""The ranking of suspects: no image has a part in what is said of it, and the hidden truth in nothing."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from conftest import tiny_config

from hscl_fast.config.sections import AugmentConfig
from hscl_fast.data.split.split import Split
from hscl_fast.data.types import ABNORMAL, NORMAL, UNLABELLED
from hscl_fast.device import Execution
from hscl_fast.evaluation.suspects import FOLDS, Suspect, Suspects, find_suspects, uncertainties
from hscl_fast.method.network import build_network
from hscl_fast.method.scoring.scoring import Scoring

NAMES = "paper+knn+mahalanobis+regression"


@pytest.fixture(scope="module")
def split(digits: Split) -> Split:
    """Some of the digits: 30 unlabelled images, among them hidden anomalies."""
    roles = digits.training.roles
    truth = digits.hidden_anomalies
    assert truth is not None
    unlabelled = np.flatnonzero(roles == UNLABELLED)
    some = np.sort(np.r_[unlabelled[truth][:6], unlabelled[~truth][:24], np.flatnonzero(roles != UNLABELLED)])
    record = digits.record
    kept = np.flatnonzero(np.array(record.train.part) == "train")[some]
    columns = {name: [column[i] for i in kept] for name, column in record.train.model_dump().items()}
    return replace(
        digits,
        training=replace(digits.training, images=digits.training.images[some], roles=roles[some]),
        training_names=tuple(digits.training_names[i] for i in some),
        record=record.model_copy(update={"train": record.train.model_copy(update=columns)}),
    )


def calibrated(split: Split) -> Scoring:
    network = build_network(tiny_config(model={"prototypes": 3}).model, 8, rotation_head=False, seed=0).eval()
    scoring = Scoring(NAMES, network, Execution(torch.device("cpu")), 64, AugmentConfig())
    images, roles = split.training.images, split.training.roles
    known = roles != ABNORMAL
    return scoring.calibrate(images[known], normal=roles[known] == NORMAL, anomalies=images[~known])


def ranked(split: Split) -> Suspects:
    scoring = calibrated(split)
    found = find_suspects(scoring.narrowed("knn"), scoring, split, threshold=0.5)
    assert found is not None
    return found


@pytest.fixture(scope="module")
def plain(split: Split) -> Suspects:
    return ranked(split)


def test_all_unlabelled_images_are_ranked(split: Split, plain: Suspects) -> None:
    unlabelled = {name for name, role in zip(split.training_names, split.training.roles, strict=True) if role == 0}
    assert sorted(image.path for image in plain.images) == sorted(unlabelled)
    assert [image.rank for image in plain.images] == [*range(1, 31)]
    assert [image.suspicion for image in plain.images] == sorted((x.suspicion for x in plain.images), reverse=True)
    hidden = {image.path for image in plain.images if image.hidden_anomaly}
    assert len(hidden) == 6
    assert hidden <= unlabelled


def test_the_truth_has_no_part_in_it(split: Split, plain: Suspects) -> None:
    train = split.record.train.model_copy(update={"label": split.record.train.label[::-1]})
    other = ranked(replace(split, record=split.record.model_copy(update={"train": train})))
    assert [replace(x, hidden_anomaly=None) for x in other.images] == [
        replace(x, hidden_anomaly=None) for x in plain.images
    ]
    assert [x.hidden_anomaly for x in other.images] != [x.hidden_anomaly for x in plain.images]


def test_scores_are_learned_without_the_image(split: Split) -> None:
    """What is said of images that are left out is what a run without them says of them."""
    scoring = calibrated(split)
    known = split.training.images[split.training.roles != ABNORMAL]
    groups = np.full(len(known), -1)
    groups[:2] = 0
    left_out = scoring.score_left_out(groups)
    roles = split.training.roles
    without = np.flatnonzero(roles != ABNORMAL)[2:]
    kept = np.sort(np.r_[without, np.flatnonzero(roles == ABNORMAL)])
    fewer = replace(split, training=replace(split.training, images=split.training.images[kept], roles=roles[kept]))
    expected = calibrated(fewer).score_each(known[:2])
    assert left_out.keys() == expected.keys()
    for name, values in left_out.items():
        np.testing.assert_allclose(values, expected[name], rtol=1e-3, atol=1e-4)
    in_sample = scoring.score_each(known[:2])
    assert np.abs(left_out["mahalanobis"] - in_sample["mahalanobis"]).max() > 0.01
    assert (left_out["knn"] < in_sample["knn"]).all()


@pytest.mark.parametrize("count", [1, 2, FOLDS + 1])
def test_few_images_are_ranked_as_well(split: Split, count: int) -> None:
    roles = split.training.roles.copy()
    unlabelled = np.flatnonzero(roles == UNLABELLED)
    roles[unlabelled[count:]] = NORMAL
    train = split.record.train.model_copy(update={"role": roles.tolist()})
    record = split.record.model_copy(update={"train": train})
    found = ranked(replace(split, training=replace(split.training, roles=roles), record=record))
    assert len(found.images) == count
    assert np.isfinite([x.suspicion for x in found.images]).all()


def test_without_unlabelled_images_there_are_none(split: Split) -> None:
    roles = np.where(split.training.roles == UNLABELLED, NORMAL, split.training.roles)
    scoring = calibrated(split)
    assert find_suspects(scoring, scoring, replace(split, training=replace(split.training, roles=roles)), 0.5) is None


def suspects(*hidden: bool | None) -> Suspects:
    return Suspects("", tuple(Suspect(i, f"{i}.png", -i, float(i), None, 0.5, x) for i, x in enumerate(hidden, 1)))


def test_figures() -> None:
    found = suspects(True, False, True, False, False).figures
    assert (found.unlabelled, found.hidden_anomalies) == (5, 2)
    assert found.precision_at_hidden == 0.5
    assert found.average_precision == pytest.approx((1 + 2 / 3) / 2)
    assert found.random == 0.4
    assert suspects(None, None).figures.hidden_anomalies is None
    none = suspects(False, False).figures
    assert (none.hidden_anomalies, none.precision_at_hidden, none.random) == (0, None, None)


def test_uncertainty_is_one_at_the_threshold() -> None:
    scores = np.array([0.0, 1.0, 3.0])
    found = uncertainties(scores, 1.0)
    assert found[1] == 1
    assert found[0] > found[2] > 0
    assert uncertainties(np.ones(2), 1.0).tolist() == [1, 1]
    moved = suspects(None, None, None).at_threshold(3.0)
    assert [x.uncertainty for x in moved.images][2] == 1
