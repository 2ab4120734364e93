"""The features that detectors are compared on: those of the pretrained encoder as it was before training."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import timm
import torch
from safetensors.torch import save_file

from hscl_fast.config.sections import AugmentConfig, ModelConfig
from hscl_fast.console import silent
from hscl_fast.data.split.split import Split
from hscl_fast.data.types import LazyImages
from hscl_fast.device import Execution
from hscl_fast.evaluation import compare as comparison
from hscl_fast.evaluation import evaluate as evaluation
from hscl_fast.evaluation.baselines.features import FEATURE_DETECTORS
from hscl_fast.evaluation.baselines.pixels import PIXEL_DETECTORS
from hscl_fast.evaluation.evaluate import Evaluation, evaluate
from hscl_fast.method.network import Network, build_network
from hscl_fast.method.scoring import views
from hscl_fast.method.scoring.scoring import Scoring

NAME = "test_byobnet"  # timm's smallest convolutional network
N, H, M = 24, 4, 11  # training, held-out and test images


@pytest.fixture(scope="module")
def split(digits: Split) -> Split:
    """Some digits, enlarged for the encoder."""

    def some(images: np.ndarray, rows: Any) -> np.ndarray:
        return np.kron(images[rows], np.ones((1, 4, 4, 1), np.uint8))

    roles = np.tile([0, 1, -1, 0], N // 4).astype(np.int8)
    training = replace(digits.training, images=some(digits.training.images, np.arange(N)), roles=roles)
    held_out = replace(digits.held_out, images=training.images[:H], roles=np.tile([1, -1], H // 2).astype(np.int8))
    abnormal = np.arange(M) % 2 == 1
    classes, names = abnormal.astype(np.int64), tuple(map(str, range(M)))
    test = replace(digits.test, images=some(digits.test.images, np.arange(M)), abnormal=abnormal)
    return replace(digits, training=training, held_out=held_out, test=replace(test, classes=classes, names=names))


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> str:
    torch.manual_seed(5)
    path = tmp_path_factory.mktemp("weights") / "weights.safetensors"
    save_file(timm.create_model(NAME).state_dict(), path)
    return str(path)


def network(weights: str, *, freeze: bool) -> Network:
    config = ModelConfig(encoder=NAME, weights=weights, freeze=freeze)
    return build_network(config, 32, rotation_head=True, seed=0).eval()


@pytest.fixture
def compared(monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """What the detectors on features were given."""
    given: dict[str, Any] = {}

    def record(training: Any, roles: Any, test: Any, measure: Any, *, seconds: float) -> dict:
        given.update(training=training, roles=roles, test=test, seconds=seconds)
        return {}

    monkeypatch.setattr(comparison, "feature_baselines", record)
    monkeypatch.setattr(comparison, "pixel_baselines", lambda *given, **options: {})
    return given


def evaluated(network: Network, split: Split, scoring: str, initial: Any) -> Evaluation:
    score = Scoring(scoring, network, Execution(torch.device("cpu")), 8, AugmentConfig())
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(evaluation, "find_suspects", lambda *given: None)  # test_suspects.py is about those
        return evaluate(score, split, silent(), seed=0, initial=initial)


@pytest.fixture
def encoded() -> Iterator[list[int]]:
    """The batches that went through any network's encoder."""
    batches: list[int] = []

    def count(module: torch.nn.Module, inputs: tuple, outputs: Any) -> None:
        if isinstance(module, timm.models.byobnet.ByobNet):
            batches.append(len(inputs[0]))

    handle = torch.nn.modules.module.register_module_forward_hook(count)
    yield batches
    handle.remove()


@torch.no_grad()
def expected(network: Network, images: np.ndarray) -> np.ndarray:
    mean, std = (torch.tensor(each).view(3, 1, 1) for each in network.statistics)
    return network.encoder((torch.from_numpy(images).permute(0, 3, 1, 2) / 255 - mean) / std).numpy()


def require_features(given: dict[str, Any], network: Network, split: Split) -> None:
    for part in ("training", "test"):
        images = getattr(split, part).images
        np.testing.assert_allclose(given[part], expected(network, images), rtol=1e-3, atol=1e-4, err_msg=part)
    np.testing.assert_array_equal(given["roles"], split.training.roles)
    assert given["seconds"] > 0


@pytest.mark.parametrize(("scoring", "passes"), [("knn", 1), ("paper+rotations", 4), ("paper", 1)])
def test_of_a_frozen_encoder_they_are_those_that_the_score_computes(
    weights: str, split: Split, compared: dict, encoded: list[int], scoring: str, passes: int
) -> None:
    model = network(weights, freeze=True)
    evaluated(model, split, scoring, model)
    assert sum(encoded) == N + passes * (H + M) + (passes - 1) * N
    require_features(compared, model, split)


def test_crops_are_not_taken_for_upright_views(
    weights: str, split: Split, compared: dict, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(views, "CROPS", 1)  # of ten, which take time
    model = network(weights, freeze=True)
    evaluated(model, split, "released", model)
    require_features(compared, model, split)


def test_of_a_trained_encoder_they_are_those_before_training(weights: str, split: Split, compared: dict) -> None:
    initial, trained = (network(weights, freeze=False) for _ in range(2))
    with torch.no_grad():
        for parameter in trained.encoder.parameters():
            parameter += 0.1
    evaluated(trained, split, "knn", initial)
    require_features(compared, initial, split)


def test_a_sentence_stands_in_for_them(weights: str, split: Split) -> None:
    found = evaluated(network(weights, freeze=False), split, "knn", "Left out: lost.")
    assert {found.baselines[name].note for name in FEATURE_DETECTORS} == {"Left out: lost."}
    assert all(found.baselines[name].auroc is not None for name in PIXEL_DETECTORS)


def test_they_need_no_images_in_memory(weights: str, split: Split) -> None:
    class Reader:
        def read(self, rows: np.ndarray) -> np.ndarray:
            return split.training.images[rows]

    lazy = replace(split, training=replace(split.training, images=LazyImages(Reader(), np.arange(N), 32)))
    model = network(weights, freeze=True)
    found = evaluated(model, lazy, "knn", model).baselines
    assert all(found[name].auroc is None for name in PIXEL_DETECTORS)
    assert all(found[name].auroc is not None for name in FEATURE_DETECTORS)


def test_features_that_are_not_finite_leave_the_detectors_out(weights: str, split: Split) -> None:
    broken = network(weights, freeze=True)
    with torch.no_grad():
        next(broken.encoder.parameters()).fill_(torch.nan)
    found = evaluated(network(weights, freeze=True), split, "knn", broken).baselines
    assert {found[name].note.split(" of some")[0] for name in FEATURE_DETECTORS} == {"Left out: the encoder's features"}


def test_an_encoder_from_scratch_has_none(weights: str, split: Split, tmp_path: Path) -> None:
    assert list(evaluated(network(weights, freeze=False), split, "knn", None).baselines) == list(PIXEL_DETECTORS)
