"""Heat maps: they point at what was added to an image, for every kind of score and encoder."""

import math

import numpy as np
import pytest
import torch
from conftest import tiny_config

from hscl_fast.console import silent
from hscl_fast.device import Execution
from hscl_fast.evaluation.heat_maps import heat_maps
from hscl_fast.evaluation.heat_overlay import overlay
from hscl_fast.evaluation.report.heat import heat_of
from hscl_fast.method.network import build_network
from hscl_fast.method.scoring.scoring import Scoring
from hscl_fast.method.scoring.views import CORNER_AREA, ViewSet
from hscl_fast.runs.directory import RunDirectory
from hscl_fast.runs.score_new import open_scoring
from hscl_fast.runs.train_run import train_run

CPU = Execution(torch.device("cpu"))


@pytest.fixture(scope="module", params=[32, 80], ids=["occlusion", "gradient"])
def network(request):
    config = tiny_config().model
    size = request.param
    return build_network(config, size, rotation_head=True, seed=0).eval().to(memory_format=torch.channels_last)


def images_for(network, rng, count):
    size = network.image_size
    return rng.integers(0, 256, (count, size, size, 3), dtype=np.uint8)


def scoring_of(name, network, training):
    scoring = Scoring(name, network, CPU, 8, tiny_config().augment)
    return scoring.calibrate(training, normal=np.arange(len(training)) < 4, anomalies=255 - training[:4])


class Comparator:
    """Scores an image in so many views."""

    def __init__(self, passes):
        self.passes = passes


def test_a_report_does_not_wait_for_the_maps_of_a_score_of_many_views(rng):
    assert heat_of(Comparator(40)) is None
    assert heat_of(Comparator(4)) is not None
    network = build_network(tiny_config().model, 32, rotation_head=True, seed=0).eval()
    released = scoring_of("released", network, images_for(network, rng, 8))
    assert released.passes == 40
    assert heat_of(released) is not None  # its crops are not looked at


@pytest.mark.parametrize(
    "name",
    [
        *("paper", "rotations", "rotation_likelihood", "contrast+knn+mahalanobis+regression", "released"),
        "corners+corner_regression",
    ],
)
def test_every_score_has_maps_of_its_images_alone(name, network, rng):
    images = images_for(network, rng, 12)
    scoring = scoring_of(name, network, images)
    maps = heat_maps(scoring, images[:3])
    assert (maps.shape, maps.dtype) == (images[:3].shape[:3], np.float32)
    assert np.isfinite(maps).all()
    assert (maps.std(axis=(1, 2)) > 0).all()
    np.testing.assert_allclose(heat_maps(scoring, images[2:3])[0], maps[2], rtol=1e-2, atol=1e-2 * maps.std())
    assert heat_maps(scoring, images[:0]).shape == (0, *images.shape[1:3])


def test_the_gradient_is_that_of_the_score(network, rng):
    images = images_for(network, rng, 6)
    scoring = scoring_of("rotations+mahalanobis", network, images)
    normality, views = scoring.differentiable(torch.from_numpy(images))
    np.testing.assert_allclose(normality.detach().numpy(), scoring.score(images), rtol=1e-3, atol=1e-3)
    assert views.shape == (24, 3, *images.shape[1:3])
    assert all(parameter.grad is None for parameter in network.parameters())


def test_turned_views_are_turned_back(network, rng):
    # A score that sees four turns cannot tell a turned image from the upright one, so neither may its map.
    images = images_for(network, rng, 2)
    scoring = scoring_of("rotations", network, images)
    turned = np.ascontiguousarray(np.rot90(images, 1, (1, 2)))
    upright, found = heat_maps(scoring, images), heat_maps(scoring, turned)
    for own, other in zip(upright, found, strict=True):
        assert np.corrcoef(np.rot90(own).ravel(), other.ravel())[0, 1] > 0.99


def test_maps_of_corners_are_placed_in_the_corners():
    """What is in the middle of a crop lies in the middle of its part of the image."""
    side, maps = 80, torch.zeros(4, 1, 80, 80)
    for corner in range(4):
        maps[corner, 0, 36:44, 36:44] = 1.0 + corner
    (found,) = ViewSet(turns=0, corners=True).placed(maps)
    half = math.sqrt(CORNER_AREA) * side / 2
    for corner, (row, column) in enumerate(
        [(half, half), (half, side - half), (side - half, half), (side - half,) * 2]
    ):
        assert found[int(row), int(column)] == pytest.approx(1.0 + corner)
    assert found[0, 0] == found[40, 40] == 0


def test_the_overlay_is_strongest_where_the_map_is(rng):
    picture = np.full((40, 60, 3), 100, np.uint8)
    heat = np.full((8, 8), -1.0, np.float32)
    assert (overlay(picture, heat) == picture).all()
    heat[2, 6] = 3
    changed = np.abs(overlay(picture, heat).astype(int) - 100).sum(axis=2)
    row, column = divmod(int(changed.argmax()), 60)
    assert (row // 5, int(column / 7.5)) == (2, 6)
    assert changed[30:].sum() == 0


@pytest.mark.slow
def test_the_hottest_place_of_a_digit_with_a_square_is_the_square_more_often_than_by_chance(tmp_path, digits):
    config = tiny_config(
        model={"width": 16, "embedding_dim": 64},
        optim={"epochs": 1000, "max_steps": 100, "batch_size": 64, "learning_rate": 3e-3},
        evaluate={"scoring": "auto"},
    )
    directory = RunDirectory(train_run(config, tmp_path / "run").path)
    scoring, _ = open_scoring(directory, directory.load_config(), None, silent())
    images = np.asarray(digits.test.images[~digits.test.abnormal]).copy()
    squares = [darkest_square(image) for image in images]
    for image, square in zip(images, squares, strict=True):
        image[square] = 255
    hottest = [divmod(int(heat.argmax()), 8) for heat in heat_maps(scoring, images)]
    hits = np.mean(
        [
            row in range(*rows.indices(8)) and column in range(*columns.indices(8))
            for (row, column), (rows, columns) in zip(hottest, squares, strict=True)
        ]
    )
    assert hits > 0.25, hits  # by chance 0.06


def darkest_square(image):
    """The darkest 2x2 pixels."""
    places = [(slice(row, row + 2), slice(column, column + 2)) for row in range(7) for column in range(7)]
    return min(places, key=lambda place: int(image[place].sum()))
