"""Every way of scoring against its definition, on a small real network."""

import numpy as np
import pytest
import torch
from conftest import tiny_config
from hscl_kernels import augment_views
from sklearn.covariance import LedoitWolf
from sklearn.ensemble import IsolationForest
from sklearn.linear_model import LogisticRegression

from hscl_fast.config.scores import NEEDS, SCORE_NAMES, needs_of, parse_scoring
from hscl_fast.config.sections import AugmentConfig
from hscl_fast.device import Execution
from hscl_fast.errors import UsageError
from hscl_fast.method.augment import draw_views
from hscl_fast.method.encode import EncodedImages
from hscl_fast.method.network import build_network
from hscl_fast.method.scoring.pixels import shrunk_pixels
from hscl_fast.method.scoring.registry import SCORES
from hscl_fast.method.scoring.regression import RegressionScore
from hscl_fast.method.scoring.score import Training
from hscl_fast.method.scoring.scoring import Scoring
from hscl_fast.method.scoring.views import CORNER_AREA, CROP_AREA, CROPS, ViewSet

ALL = "contrast+knn+mahalanobis+regression"
OF_FEW_VIEWS = "+".join(name for name in SCORE_NAMES if name != "released")
OF_FOUR_VIEWS = ("rotations", "rotation_likelihood", "corners", "corner_regression")


@pytest.fixture(scope="module")
def model():
    config = tiny_config(model={"prototypes": 3})
    return build_network(config.model, 8, rotation_head=True, seed=0).eval()


def scorer(model, scoring, batch_size=7, augment=None):
    return Scoring(scoring, model, Execution(torch.device("cpu")), batch_size, augment or AugmentConfig())


@pytest.fixture
def images(rng):
    return rng.integers(0, 256, (17, 8, 8, 3), dtype=np.uint8)


@pytest.fixture
def training(rng):
    return rng.integers(0, 256, (11, 8, 8, 3), dtype=np.uint8)


@pytest.fixture
def anomalies(rng):
    return rng.integers(0, 256, (9, 8, 8, 3), dtype=np.uint8)


def calibrated(model, scoring, training, batch_size=7):
    """Calibrated on the training images, of which the first three are labelled normal, and the last three abnormal."""
    own, normal = scorer(model, scoring, batch_size), np.arange(len(training) - 3) < 3
    return own.calibrate(training[:-3], normal=normal, anomalies=training[-3:])


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


@torch.no_grad()
def in_corners(model, images):
    """The embeddings ``[4, n, D]`` of the four corners, each enlarged to the whole image."""
    x, side, found = torch.from_numpy(images).permute(0, 3, 1, 2).float() / 255, CORNER_AREA**0.5, []
    for down, right in ((-1, -1), (-1, 1), (1, -1), (1, 1)):
        theta = torch.tensor([[side, 0, (1 - side) * right], [0, side, (1 - side) * down]]).expand(len(x), 2, 3)
        grid = torch.nn.functional.affine_grid(theta, x.shape, align_corners=False)
        crop = torch.nn.functional.grid_sample(x, grid, padding_mode="reflection", align_corners=False)
        found.append(model((crop - 0.5) / 0.5).embeddings)
    return torch.stack(found)


def test_corners_is_the_mean_over_four_crops(model, images):
    each = [cosines(embeddings, model.prototypes).amax(dim=1) for embeddings in in_corners(model, images)]
    close(scorer(model, "corners").score(images), torch.stack(each).mean(dim=0))


def test_a_crop_lies_in_its_corner(images):
    """The mean of a ramp over a crop is the ramp at the crop's middle."""
    rows, columns = np.meshgrid(np.arange(40), np.arange(40), indexing="ij")
    ramps = np.stack((rows, columns, rows), axis=2)[None].astype(np.uint8)
    parameters = ViewSet(turns=0, corners=True).parameters(torch.from_numpy(ramps), AugmentConfig())
    views = augment_views(torch.from_numpy(ramps), parameters, mean=(0.0,) * 3, std=(1.0,) * 3) * 255
    near, far = 20 * CORNER_AREA**0.5 - 0.5, 39.5 - 20 * CORNER_AREA**0.5
    expected = [[near, near], [near, far], [far, near], [far, far]]
    np.testing.assert_allclose(views.mean(dim=(2, 3))[:, :2], expected, atol=0.05)


def test_corner_regression_is_a_regression_on_the_mean_features_of_the_corners(model, images, training):
    normalize = torch.nn.functional.normalize
    known, new = (normalize(in_corners(model, some), dim=2).mean(dim=0) for some in (training, images))
    own = RegressionScore(model)
    own.constants = own.learn(Training(known[:-3], torch.arange(8) < 3, known[-3:]))
    close(calibrated(model, "corner_regression", training).score(images), own.score(new))


def test_rotation_likelihood_is_the_mean_log_probability_of_the_turn(model, images):
    logits = [features(model, images, k).rotation_logits for k in range(4)]
    expected = torch.stack([torch.log_softmax(logits[k], dim=1)[:, k] for k in range(4)]).mean(dim=0)
    close(scorer(model, "rotation_likelihood").score(images), expected)


def test_contrast_is_paper_minus_half_the_mean_labelled_anomaly(model, images, training, anomalies):
    mean = torch.nn.functional.normalize(features(model, anomalies).embeddings).mean(dim=0)
    own = features(model, images).embeddings
    expected = cosines(own, model.prototypes).amax(dim=1) - 0.5 * cosines(own, mean[None])[:, 0]
    close(scorer(model, "contrast").calibrate(training, anomalies=anomalies).score(images), expected)


@pytest.mark.parametrize("anomalies", [None, np.zeros((0, 8, 8, 3), np.uint8)])
def test_contrast_without_labelled_anomalies_is_paper(model, images, anomalies):
    own = scorer(model, "contrast").calibrate(images, anomalies=anomalies).score(images)
    np.testing.assert_array_equal(own, scorer(model, "paper").score(images))


def units(model, images):
    """The directions of the embeddings, or of the encoder's features if it began with trained weights, float64."""
    found = features(model, images)
    found = (found.encoder if model.starts_trained else found.embeddings).double().numpy()
    return found / np.linalg.norm(found, axis=1, keepdims=True)


def test_knn_is_the_mean_over_the_nearest_training_images(model, images, training):
    similarities = np.sort(units(model, images) @ units(model, training).T, axis=1)
    scores = scorer(model, "knn").calibrate(training).score(images)
    np.testing.assert_allclose(scores, similarities[:, -5:].mean(axis=1), atol=2e-6)
    few = scorer(model, "knn").calibrate(training[:3]).score(images)
    np.testing.assert_allclose(few, (units(model, images) @ units(model, training[:3]).T).mean(axis=1), atol=2e-6)


def test_the_features_are_the_encoders_if_it_began_with_trained_weights(model, images, training, monkeypatch):
    monkeypatch.setattr(model, "starts_trained", True)
    own = scorer(model, "knn").calibrate(training)
    assert own.constants["neighbours"].shape == (11, 128)
    similarities = np.sort(units(model, images) @ units(model, training).T, axis=1)
    np.testing.assert_allclose(own.score(images), similarities[:, -5:].mean(axis=1), atol=2e-6)


def test_mahalanobis_leaves_out_the_farthest_fifth(model, images, training):
    known = units(model, training)
    distances = LedoitWolf().fit(known).mahalanobis(known)
    kept = known[np.argsort(distances)[: len(known) - len(known) // 5]]
    assert len(kept) == 9
    expected = -LedoitWolf().fit(kept).mahalanobis(units(model, images))
    scores = scorer(model, "mahalanobis").calibrate(training).score(images)
    np.testing.assert_allclose(scores, expected, rtol=1e-3)  # a millionth of the variance is added


def test_mahalanobis_of_equal_training_images(model, images, training):
    scores = scorer(model, "mahalanobis").calibrate(np.repeat(training[:1], 4, axis=0)).score(images)
    assert np.isfinite(scores).all()


def test_regression_is_one_on_standardised_features(model, images, training, anomalies):
    normal = np.arange(11) < 4
    known = units(model, training)
    mean, deviation = known.mean(axis=0), np.maximum(known.std(axis=0), 0.01 / np.sqrt(16))
    labelled = np.concatenate((known[normal], units(model, anomalies)))
    fitted = LogisticRegression(C=1e-3, class_weight="balanced")
    fitted.fit((labelled - mean) / deviation, np.arange(13) < 4)
    expected = fitted.decision_function((units(model, images) - mean) / deviation)
    scores = scorer(model, "regression").calibrate(training, normal=normal, anomalies=anomalies).score(images)
    np.testing.assert_allclose(scores, expected, atol=1e-4)


def released_parts(model, images):
    """Embeddings [4, n, D] and own rotation logits [4, n], crop by crop and rotation by rotation."""
    policy = AugmentConfig(crop_area=(CROP_AREA, CROP_AREA))
    embeddings, logits = [], []
    for crop in range(CROPS):
        seed, step, n = torch.tensor(0), torch.tensor(crop), len(images)
        parameters = draw_views(policy, torch.zeros(n, dtype=torch.int64), seed=seed, step=step, size=(8, 8), views=1)
        with torch.no_grad():
            found = model(augment_views(torch.from_numpy(images), parameters))
        embeddings.append(torch.stack([found.embeddings[k * n : (k + 1) * n] for k in range(4)]))
        logits.append(torch.stack([found.rotation_logits[k * n : (k + 1) * n, k] for k in range(4)]))
    return torch.stack(embeddings).mean(dim=0), torch.stack(logits).mean(dim=0)


def test_released_weighs_crops_rotations_and_logits(model, images, training):
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


def standardised(values, known):
    return (values - known.mean()) / known.std()


def test_a_sum_is_that_of_standardised_scores(model, images, training):
    own = calibrated(model, ALL, training)
    expected, known_expected = np.zeros(17), np.zeros(8)
    for name in parse_scoring(ALL):
        alone = calibrated(model, name, training)
        known = alone.score_known(training[:-3])
        expected += standardised(alone.score(images), known)
        known_expected += standardised(known, known)
    np.testing.assert_allclose(own.score(images), expected, atol=1e-4)
    np.testing.assert_allclose(own.score_known(training[:-3]), known_expected, atol=1e-4)


def test_a_score_that_is_the_same_for_all_training_images_adds_finitely(model, images, training):
    same = np.repeat(training[:1], 4, axis=0)
    assert np.isfinite(scorer(model, "knn+paper").calibrate(same).score(images)).all()


@pytest.mark.parametrize(
    ("scoring", "passes"),
    [
        ("paper", 1),
        (ALL, 1),
        ("contrast+rotations", 4),
        ("released", 40),
        ("knn+released", 41),
        ("corners+corner_regression", 4),
        ("paper+rotations+corners", 8),
    ],
)
def test_each_view_passes_the_network_once(model, images, training, monkeypatch, scoring, passes):
    rows = []
    monkeypatch.setattr(model, "forward", lambda views: rows.append(len(views)) or type(model).forward(model, views))
    own = calibrated(model, scoring, training)
    own.score_known(training[:-3])
    assert own.passes == passes
    assert sum(rows) == passes * len(training)
    rows.clear()
    own.score(images)
    assert sum(rows) == passes * len(images)


def test_the_views_of_a_score_alone_are_those_in_a_sum(model, images, training):
    together = calibrated(model, OF_FEW_VIEWS, training)
    each = together.score_each(images)
    for name in each:
        alone = together.narrowed(name)
        assert (alone.name, alone.passes) == (name, 4 if name in OF_FOUR_VIEWS else 1)
        np.testing.assert_allclose(alone.score(images), each[name], rtol=1e-4, atol=1e-4)
        np.testing.assert_array_equal(alone.summed(each), each[name])
    pair = together.narrowed("knn+contrast")
    np.testing.assert_allclose(pair.score(images), calibrated(model, "contrast+knn", training).score(images), atol=1e-4)


@pytest.mark.parametrize("scoring", ["paper", "released", OF_FEW_VIEWS])
def test_scores_do_not_depend_on_the_batches(model, images, training, scoring):
    whole = calibrated(model, scoring, training, 100).score(images)
    np.testing.assert_allclose(calibrated(model, scoring, training, 3).score(images), whole, rtol=1e-4, atol=2e-4)
    assert scorer(model, "paper").score(images[:0]).shape == (0,)


@pytest.mark.parametrize("scoring", ["paper", "released", OF_FEW_VIEWS])
def test_a_score_depends_on_the_image_alone(model, images, training, scoring):
    """Neither on its place nor on its neighbours; the last digits of a sum may."""
    own = calibrated(model, scoring, training, 50)
    whole = own.score(images)
    np.testing.assert_allclose(own.score(images[::-1].copy())[::-1], whole, rtol=1e-5, atol=5e-5)
    single = np.concatenate([own.score(images[i : i + 1]) for i in range(17)])
    np.testing.assert_allclose(single, whole, rtol=1e-5, atol=5e-5)


@pytest.mark.parametrize("scoring", ["paper", "released", OF_FEW_VIEWS])
@pytest.mark.parametrize("batch_size", [3, 100])
def test_equal_images_tie_at_every_place(model, images, training, scoring, batch_size):
    own = calibrated(model, scoring, training, batch_size)
    mixed = np.concatenate([images[[4]], images, images[[4, 9]], images[[4]]])
    scores = own.score(mixed)
    assert len({scores[0], scores[5], scores[18], scores[20]}) == 1
    assert scores[10] == scores[19]
    assert len(set(own.score(np.repeat(images[:1], 23, axis=0)))) == 1


def test_a_training_image_is_not_its_own_neighbour(model, images, monkeypatch):
    own = scorer(model, "knn", 5).calibrate(images)
    others = units(model, images) @ units(model, images).T
    np.fill_diagonal(others, -1)
    expected = np.sort(others, axis=1)[:, -5:].mean(axis=1)
    np.testing.assert_allclose(own.score_known(images), expected, atol=2e-6)
    monkeypatch.setattr("hscl_fast.method.scoring.knn._CHUNK", 4)
    np.testing.assert_allclose(scorer(model, "knn").calibrate(images).score_known(images), expected, atol=2e-6)
    pair = scorer(model, "knn").calibrate(images[:2]).score_known(images[:2])
    np.testing.assert_allclose(pair, others[[0, 1], [1, 0]], atol=2e-6)
    paper = scorer(model, "paper")
    assert np.array_equal(paper.score_known(images), paper.score(images))


@pytest.mark.parametrize("scoring", [*SCORE_NAMES, "knn+released"])
def test_constants_can_be_used_again(model, images, training, scoring):
    own = calibrated(model, scoring, training)
    other = scorer(model, scoring)
    assert all(tensor.dtype == torch.float32 for tensor in own.constants.values())
    other.use(own.constants)
    np.testing.assert_array_equal(other.score(images), own.score(images))
    assert other.constants.keys() == own.constants.keys()


def test_a_network_that_is_not_finite_cannot_be_calibrated(images):
    broken = build_network(tiny_config().model, 8, rotation_head=False, seed=0).eval()
    torch.nn.init.constant_(broken.prototypes, 1.0)
    torch.nn.init.constant_(next(broken.encoder.parameters()), torch.nan)
    with pytest.raises(UsageError, match=r"not all finite.*train again with a lower learning rate"):
        scorer(broken, "knn").calibrate(images)


@pytest.mark.parametrize(
    ("scoring", "constants", "message"),
    [
        ("paper", {"neighbours": torch.ones(3, 8)}, r"has the constants \['neighbours'\], expected \[\]"),
        ("knn", {}, r"has the constants \[\], expected \['neighbours'\]"),
        ("knn", {"neighbours": torch.ones(3, 5)}, r"neighbours as float32 \[3, 5\], expected float32 \[n, \d+\]"),
        ("knn", {"neighbours": torch.ones(8)}, r"has neighbours as float32 \[8\]"),
        ("knn", {"neighbours": torch.ones(3, 8, dtype=torch.int64)}, "has neighbours as int64"),
        ("mahalanobis", {"mean": torch.ones(16), "whitening": torch.ones(16, 1)}, r"has whitening as .* \[16, 1\]"),
        ("regression", {"weight": torch.ones(16), "bias": torch.tensor(1.0)}, r"has bias as float32 \[\]"),
        ("paper+rotations", {"center": torch.ones(2), "scale": torch.ones(3)}, "has scale as"),
        ("paper+rotations", {"center": torch.ones(2), "scale": torch.zeros(2)}, "scale that is not positive"),
        ("paper+knn", {"center": torch.ones(2), "scale": torch.ones(2)}, r"expected \['center', 'knn.neighbours'"),
        ("released", {"embedding_norm": torch.ones(4), "rotation_logit": torch.ones(3)}, "has rotation_logit as"),
        ("released", {"embedding_norm": torch.ones(4), "rotation_logit": torch.full((4,), torch.nan)}, "not finite"),
    ],
)
def test_constants_of_another_score_are_refused(model, scoring, constants, message):
    with pytest.raises(ValueError, match=message):
        scorer(model, scoring).use(constants)


def test_no_features_at_all_are_refused(model):
    with pytest.raises(ValueError, match="is empty or not finite"):
        scorer(model, "knn").use({"neighbours": torch.ones(0, 16)})


def test_every_name_has_a_score():
    assert SCORE_NAMES == tuple(SCORES) == tuple(NEEDS)
    assert parse_scoring("regression+paper") == ("paper", "regression")
    assert needs_of("paper").unlabelled is False
    assert needs_of("paper+rotation_likelihood") == type(NEEDS["paper"])(True, True, True, False)


def test_pixels_are_scored_as_by_scikit_learns_forest(model, rng):
    images = rng.integers(0, 256, (300, 8, 8, 3), dtype=np.uint8)
    own = scorer(model, "pixels", batch_size=100).calibrate(images[:280])
    rows = images.transpose(0, 3, 1, 2).reshape(300, -1).astype(np.float32) / np.float32(255)
    forest = IsolationForest(n_estimators=100, max_samples=256, random_state=0).fit(rows[:280])
    normaliser = 2 * (np.log(255) + np.euler_gamma) - 2 * 255 / 256
    np.testing.assert_allclose(-(2 ** (-own.score(images) / normaliser)), forest.score_samples(rows), rtol=1e-5)


def test_large_images_are_averaged_down_for_the_forest():
    images = torch.arange(2 * 3 * 32 * 32, dtype=torch.float32).reshape(2, 3, 32, 32) % 256
    rows = shrunk_pixels(images)
    expected = images.reshape(2, 3, 16, 2, 16, 2).mean(dim=(3, 5)).flatten(1) / 255
    torch.testing.assert_close(rows, expected)
    assert shrunk_pixels(images[..., :10, :10]).shape == (2, 300)


def test_the_features_of_a_frozen_encoder_do_not_stand_in_for_pixels(model, training):
    plain = scorer(model, "paper+pixels").calibrate(training)
    cached = EncodedImages(training, torch.zeros(len(training), model.encoder_features))
    other = scorer(model, "paper+pixels").calibrate(cached)
    np.testing.assert_array_equal(other.score(training), plain.score(training))
