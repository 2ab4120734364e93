"""Every way of scoring against its definition, on a small real network."""

import numpy as np
import pytest
import torch
from conftest import tiny_config
from hscl_kernels import augment_views

from hscl_fast.config.sections import AugmentConfig
from hscl_fast.device import Execution
from hscl_fast.method.augment import draw_views
from hscl_fast.method.network import build_network
from hscl_fast.method.scoring.registry import SCORINGS
from hscl_fast.method.scoring.released import RELEASED_AREA, RELEASED_CROPS


@pytest.fixture(scope="module")
def model():
    config = tiny_config(model={"prototypes": 3})
    return build_network(config.model, 8, rotation_head=True, seed=0).eval()


def scorer(model, scoring, batch_size=7, augment=None):
    return SCORINGS[scoring](model, Execution(torch.device("cpu")), batch_size, augment or AugmentConfig())


@pytest.fixture
def images(rng):
    return rng.integers(0, 256, (17, 8, 8, 3), dtype=np.uint8)


@torch.no_grad()
def features(model, images, turns=0):
    x = torch.from_numpy(images).permute(0, 3, 1, 2).float() / 255
    return model((torch.rot90(x, turns, (2, 3)) - 0.5) / 0.5)


def cosines(embeddings, others):
    return torch.nn.functional.cosine_similarity(embeddings[:, None], others.detach()[None], dim=2)


def close(scores, expected):
    assert scores.dtype == np.float64
    np.testing.assert_allclose(scores, expected.numpy(), atol=2e-5)


def test_paper_is_the_nearest_prototype_of_one_view(model, images):
    expected = cosines(features(model, images).embeddings, model.prototypes).amax(dim=1)
    close(scorer(model, "paper").score(images), expected)


def test_rotations_is_the_mean_over_four(model, images):
    each = [cosines(features(model, images, k).embeddings, model.prototypes).amax(dim=1) for k in range(4)]
    close(scorer(model, "rotations").score(images), torch.stack(each).mean(dim=0))


def test_contrast_is_paper_minus_the_mean_labelled_anomaly(model, images, rng):
    training = rng.integers(0, 256, (11, 8, 8, 3), dtype=np.uint8)
    anomalies = rng.integers(0, 256, (9, 8, 8, 3), dtype=np.uint8)
    mean = torch.nn.functional.normalize(features(model, anomalies).embeddings).mean(dim=0)
    own = features(model, images).embeddings
    expected = cosines(own, model.prototypes).amax(dim=1) - cosines(own, mean[None])[:, 0]
    close(scorer(model, "contrast").calibrate(training, anomalies=anomalies).score(images), expected)


@pytest.mark.parametrize("anomalies", [None, np.zeros((0, 8, 8, 3), np.uint8)])
def test_contrast_without_labelled_anomalies_is_paper(model, images, anomalies):
    own = scorer(model, "contrast").calibrate(images, anomalies=anomalies).score(images)
    np.testing.assert_array_equal(own, scorer(model, "paper").score(images))


def test_knn_is_the_nearest_training_image(model, images, rng):
    training = rng.integers(0, 256, (11, 8, 8, 3), dtype=np.uint8)
    bank = features(model, training).embeddings
    expected = cosines(features(model, images).embeddings, bank).amax(dim=1)
    close(scorer(model, "knn").calibrate(training).score(images), expected)
    close(scorer(model, "knn").calibrate(training).score(training), torch.ones(11))


def released_parts(model, images):
    """Embeddings [4, n, D] and own rotation logits [4, n], crop by crop and rotation by rotation."""
    policy = AugmentConfig(crop_area=(RELEASED_AREA, RELEASED_AREA))
    embeddings, logits = [], []
    for crop in range(RELEASED_CROPS):
        seed, step, n = torch.tensor(0), torch.tensor(crop), len(images)
        parameters = draw_views(policy, torch.zeros(n, dtype=torch.int64), seed=seed, step=step, size=(8, 8), views=1)
        with torch.no_grad():
            found = model(augment_views(torch.from_numpy(images), parameters))
        embeddings.append(torch.stack([found.embeddings[k * n : (k + 1) * n] for k in range(4)]))
        logits.append(torch.stack([found.rotation_logits[k * n : (k + 1) * n, k] for k in range(4)]))
    return torch.stack(embeddings).mean(dim=0), torch.stack(logits).mean(dim=0)


def test_released_weighs_crops_rotations_and_logits(model, images, rng):
    training = rng.integers(0, 256, (11, 8, 8, 3), dtype=np.uint8)
    own = scorer(model, "released").calibrate(training)
    train_embeddings, train_logits = released_parts(model, training)
    embeddings, logits = released_parts(model, images)
    directions = torch.nn.functional.normalize(model.prototypes.detach(), dim=1)
    expected = torch.zeros(17)
    for k in range(4):
        expected += (embeddings[k] @ directions.T).amax(dim=1) / train_embeddings[k].norm(dim=1).mean()
        expected += logits[k] / train_logits[k].mean()
    close(own.score(images), expected / 4)
    upright_only = scorer(model, "released", augment=AugmentConfig(rotations=1))
    close(upright_only.calibrate(training).score(images), expected / 4)


@pytest.mark.parametrize("scoring", ["paper", "rotations", "contrast", "knn", "released"])
def test_scores_do_not_depend_on_the_batches(model, images, scoring):
    whole = scorer(model, scoring, 100).calibrate(images).score(images)
    np.testing.assert_allclose(scorer(model, scoring, 3).calibrate(images).score(images), whole, atol=1e-4)
    assert scorer(model, "paper").score(images[:0]).shape == (0,)


@pytest.mark.parametrize("scoring", ["paper", "rotations", "contrast", "knn", "released"])
def test_a_score_depends_on_the_image_alone(model, images, rng, scoring):
    """Neither on its place nor on its neighbours; the last digits of a sum may."""
    training = rng.integers(0, 256, (11, 8, 8, 3), dtype=np.uint8)
    own = scorer(model, scoring, 50).calibrate(training)
    whole = own.score(images)
    np.testing.assert_allclose(own.score(images[::-1].copy())[::-1], whole, atol=2e-5)
    np.testing.assert_allclose(np.concatenate([own.score(images[i : i + 1]) for i in range(17)]), whole, atol=2e-5)


@pytest.mark.parametrize("scoring", ["paper", "rotations", "contrast", "knn", "released"])
@pytest.mark.parametrize("batch_size", [3, 40, 100])
def test_equal_images_tie_at_every_place(model, images, scoring, batch_size):
    own = scorer(model, scoring, batch_size).calibrate(images)
    mixed = np.concatenate([images[[4]], images, images[[4, 9]], images[[4]]])
    scores = own.score(mixed)
    assert len({scores[0], scores[5], scores[18], scores[20]}) == 1
    assert scores[10] == scores[19]
    assert len(set(own.score(np.repeat(images[:1], 71, axis=0)))) == 1


def test_a_training_image_is_not_its_own_neighbour(model, images):
    own = scorer(model, "knn", 5).calibrate(images)
    bank = features(model, images).embeddings
    others = cosines(bank, bank)
    others.fill_diagonal_(-1)
    close(own.score_known(images), others.amax(dim=1))
    assert scorer(model, "knn").calibrate(images[:1]).score_known(images[:1]) == pytest.approx(1.0, abs=1e-5)
    paper = scorer(model, "paper")
    assert np.array_equal(paper.score_known(images), paper.score(images))


@pytest.mark.parametrize("scoring", sorted(SCORINGS))
def test_constants_can_be_used_again(model, images, scoring):
    own = scorer(model, scoring).calibrate(images, anomalies=images[:3])
    other = scorer(model, scoring)
    other.use(own.constants)
    np.testing.assert_array_equal(other.score(images), own.score(images))


@pytest.mark.parametrize(
    ("scoring", "constants", "message"),
    [
        ("paper", {"features": torch.ones(3, 8)}, r"has the constants \['features'\], expected \[\]"),
        ("knn", {}, r"has the constants \[\], expected \['features'\]"),
        ("knn", {"features": torch.ones(3, 5)}, r"has features as float32 \[3, 5\], expected float32 \[n, \d+\]"),
        ("knn", {"features": torch.ones(8)}, r"has features as float32 \[8\]"),
        ("knn", {"features": torch.ones(3, 8, dtype=torch.int64)}, "has features as int64"),
        ("released", {"embedding_norm": torch.ones(4), "rotation_logit": torch.ones(3)}, "has rotation_logit as"),
        ("released", {"embedding_norm": torch.ones(4), "rotation_logit": torch.full((4,), torch.nan)}, "not finite"),
    ],
)
def test_constants_of_another_score_are_refused(model, scoring, constants, message):
    with pytest.raises(ValueError, match=message):
        scorer(model, scoring).use(constants)


def test_no_features_at_all_are_refused(model):
    width = model.prototypes.shape[1]
    with pytest.raises(ValueError, match="is empty or not finite"):
        scorer(model, "knn").use({"features": torch.ones(0, width)})
