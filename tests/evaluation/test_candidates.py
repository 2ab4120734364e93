"""`evaluate.scoring: auto`: which scores a run can have, and the choice among them."""

from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
import torch
from conftest import tiny_config
from rich.console import Console

from hscl_fast.config.scores import AUTO, parse_scoring
from hscl_fast.config.sections import AugmentConfig
from hscl_fast.data.types import TrainingImages
from hscl_fast.device import Execution
from hscl_fast.errors import UsageError
from hscl_fast.evaluation import evaluate as evaluation
from hscl_fast.evaluation.candidates import FROM_SCRATCH, PRETRAINED, all_scores, candidate_scorings, choose
from hscl_fast.evaluation.metrics import auroc, paired_deviation
from hscl_fast.method.network import build_network
from hscl_fast.method.scoring.registry import SCORES
from hscl_fast.method.scoring.scoring import Scoring

ROLES = np.array([1, 1, 0, 0, -1, -1], np.int8)
HELD_OUT = np.repeat([1, -1], 10).astype(np.int8)
ABNORMAL = HELD_OUT < 0


def possible(roles=ROLES, held_out=HELD_OUT, model=None, **objective):
    config = tiny_config(objective=objective, evaluate={"scoring": AUTO}, model=model or {})
    return candidate_scorings(config, np.asarray(roles, np.int8), held_out)


@pytest.mark.parametrize("preference", [FROM_SCRATCH, PRETRAINED])
def test_the_order_of_preference(preference):
    assert all("+".join(parse_scoring(name)) == name for name in preference)
    only_by_name = {"released"}
    if preference is PRETRAINED:
        only_by_name |= {"rotations", "corners", "corner_regression", "rotation_likelihood", "pixels"}
    assert {name for candidate in preference for name in candidate.split("+")} == SCORES.keys() - only_by_name
    sums = ["+" in name for name in preference]
    assert all(first >= second for first, second in pairwise(sums))


def test_candidates_are_what_the_run_can_have():
    assert possible() == tuple(name for name in FROM_SCRATCH if "likelihood" not in name)
    assert possible(shift_loss=True) == FROM_SCRATCH
    assert possible(lambda_prototype=0.0) == ("mahalanobis+regression", "mahalanobis", "knn")
    assert possible([0, 0, 0]) == ("corners", "paper", "contrast", "rotations", "mahalanobis", "knn")
    assert possible([1, -1, -1]) == ("corners", "paper", "rotations")
    with pytest.raises(UsageError, match="needs 2 training images or more that are not labelled anomalies"):
        possible([1, -1, -1], lambda_prototype=0.0)


def test_a_pretrained_encoder_has_an_order_of_its_own():
    pretrained = {"weights": "w.safetensors", "width": 64}
    assert possible(model=pretrained, shift_loss=True) == PRETRAINED
    assert possible([0, 0, 0], model=pretrained)[0] == "paper+mahalanobis"


@pytest.mark.parametrize("held_out", [HELD_OUT[:0], HELD_OUT[1:], HELD_OUT[:-1], HELD_OUT[:10]])
def test_with_few_held_out_images_there_is_no_choice(held_out):
    assert possible(held_out=held_out) == FROM_SCRATCH[:1]
    assert possible([0, 0, 0], held_out[:0]) == ("corners",)


def test_a_configured_score_is_the_only_one():
    assert candidate_scorings(tiny_config(evaluate={"scoring": "knn+contrast"}), ROLES, HELD_OUT) == ("contrast+knn",)
    with pytest.raises(UsageError, match=r"of the training images 0 are labelled normals and 1 "):
        candidate_scorings(tiny_config(evaluate={"scoring": "regression"}), np.array([0, 0, -1], np.int8), HELD_OUT)


def chosen(scores):
    found = choose(scores, dict.fromkeys(scores, 4), ABNORMAL)
    assert [candidate.scoring for candidate in found] == list(scores)
    assert [candidate.held_out_auroc for candidate in found] == [auroc(x, ABNORMAL) for x in scores.values()]
    (name,) = (candidate.scoring for candidate in found if candidate.chosen)
    return name


PERFECT = np.where(ABNORMAL, 0.0, 1.0) + np.linspace(0, 0.1, 20)
USELESS = np.tile([0.0, 1.0], 10)
NEAR = np.where(np.arange(20) == 10, 2.0, PERFECT)  # one anomaly above all normals


def test_the_best_is_chosen_where_it_is_clearly_better():
    assert chosen({"a": USELESS, "b": PERFECT, "c": USELESS}) == "b"


def test_of_scores_within_two_standard_errors_the_first_is_preferred():
    assert auroc(PERFECT, ABNORMAL) - auroc(NEAR, ABNORMAL) <= paired_deviation(PERFECT, NEAR, ABNORMAL)
    assert chosen({"a": NEAR, "b": PERFECT}) == "a"
    assert chosen({"a": PERFECT, "b": NEAR}) == "a"


def test_the_deviation_is_that_of_the_paired_difference(rng):
    """Against the definition, pair by pair; two scores with the same mistakes differ by nothing."""
    one, other = rng.normal(size=(2, 20)).round(1)
    wins = [(x[~ABNORMAL][:, None] > x[ABNORMAL]) + 0.5 * (x[~ABNORMAL][:, None] == x[ABNORMAL]) for x in (one, other)]
    difference = wins[0] - wins[1]
    expected = difference.mean(axis=1).var(ddof=1) / 10 + difference.mean(axis=0).var(ddof=1) / 10
    assert paired_deviation(one, other, ABNORMAL) == pytest.approx(np.sqrt(expected))
    assert paired_deviation(one, np.exp(one), ABNORMAL) == 0


@pytest.fixture(scope="module")
def split(digits):
    normal, abnormal = (np.flatnonzero(digits.test.abnormal == flag)[-12:] for flag in (False, True))
    roles = np.repeat([1, -1], 12).astype(np.int8)
    return replace(digits, held_out=TrainingImages(digits.test.images[np.concatenate((normal, abnormal))], roles))


def evaluated(split, monkeypatch, candidates=FROM_SCRATCH):
    monkeypatch.setattr(evaluation, "compare", lambda *_, **__: {})
    model = build_network(tiny_config().model, 8, rotation_head=True, seed=0).eval()
    rows = []
    monkeypatch.setattr(model, "forward", lambda views: rows.append(len(views)) or type(model).forward(model, views))
    scoring = Scoring(all_scores(candidates), model, Execution(torch.device("cpu")), 500, AugmentConfig())
    console = Console(record=True, width=200)
    found = evaluation.evaluate(scoring, split, console, seed=0, candidates=candidates)
    return found, sum(rows), console.export_text()


def test_one_pass_serves_all_candidates(split, monkeypatch):
    found, rows, said = evaluated(split, monkeypatch)
    (best,) = (candidate for candidate in found.candidates if candidate.chosen)
    assert found.scoring.name == best.scoring
    assert f"score {best.scoring}, chosen of {len(FROM_SCRATCH)} on 24 held-out labelled images" in " ".join(
        said.split()
    )
    # Four turns and four corners.
    assert rows == 8 * (len(split.training.roles) + 24) + best.passes * len(split.test.abnormal)
    alone = found.scoring.score(split.held_out.images)
    assert auroc(alone, split.held_out.roles < 0) == pytest.approx(best.held_out_auroc, abs=0.01)
    again = Scoring(best.scoring, found.scoring.network, Execution(torch.device("cpu")), 500, AugmentConfig())
    again.use(found.scoring.constants)
    np.testing.assert_array_equal(again.score(split.test.images), -found.anomaly_scores)


def test_test_labels_have_no_part_in_it(split, monkeypatch):
    few = ("contrast+knn", "paper", "knn")
    found, _, _ = evaluated(split, monkeypatch, few)
    shuffled = np.random.default_rng(0).permutation(split.test.abnormal)
    classes = np.where(shuffled, 1, split.normal_class)
    other, _, _ = evaluated(
        replace(split, test=replace(split.test, abnormal=shuffled, classes=classes)), monkeypatch, few
    )
    assert other.detection.auroc != found.detection.auroc
    assert (other.candidates, other.threshold.value) == (found.candidates, found.threshold.value)
