"""Runs with a frozen encoder whose features are cached: each image once, resumed bit for bit, never half a cache."""

import signal
from pathlib import Path

import pytest
import timm
import torch
from conftest import tiny_config
from safetensors.torch import save_file
from torch.nn.modules.module import register_module_forward_hook

from hscl_fast.console import silent
from hscl_fast.data.open import load_split
from hscl_fast.data.split.record import read_record
from hscl_fast.device import Execution
from hscl_fast.errors import UsageError
from hscl_fast.interrupt import Interrupted
from hscl_fast.method import encode
from hscl_fast.method.network import build_network
from hscl_fast.runs import evaluate_run, feature_cache, train_run
from hscl_fast.runs.checkpoint import MANIFEST, load_checkpoint
from hscl_fast.runs.directory import RunDirectory
from hscl_fast.runs.predict_run import predict_run
from hscl_fast.runs.recorder import RunRecorder
from hscl_fast.runs.warm_start import begun_from
from hscl_fast.training import trainer as trainer_module

NAME = "test_byobnet"  # timm's smallest convolutional network
CPU = torch.device("cpu")
STEPS = 12


@pytest.fixture(scope="module")
def weights(tmp_path_factory):
    torch.manual_seed(5)
    path = tmp_path_factory.mktemp("weights") / "weights.safetensors"
    save_file(timm.create_model(NAME).state_dict(), path)
    return str(path)


def frozen(weights, **sections):
    """A configuration of 12 steps on cached features."""
    base = {
        "data": {"image_size": 16},
        "model": {"encoder": NAME, "weights": weights, "freeze": True, "width": 64},
        "augment": {"cached_views": 1, "rotations": 1},
        "optim": {"epochs": 100, "max_steps": STEPS},
        "runtime": {"precision": "float32"},
    }
    return tiny_config(**{name: {**base.get(name, {}), **sections.get(name, {})} for name in {*base, *sections}})


@pytest.fixture
def encoded(monkeypatch):
    """The number of rows of every call of an encoder; the check of the image size is left out."""
    monkeypatch.setattr(trainer_module, "require_whole_image", lambda *arguments: None)
    rows = []

    def count(module, inputs, output):
        if type(module).__name__ == "ByobNet":
            rows.append(len(inputs[0]))

    handle = register_module_forward_hook(count)
    yield rows
    handle.remove()


@pytest.fixture(scope="module")
def whole(weights, tmp_path_factory):
    """A run that was not interrupted."""
    return train_run.train_run(frozen(weights), tmp_path_factory.mktemp("runs") / "whole").directory


def assert_same_weights(run, other):
    ours, theirs = (load_checkpoint(each.checkpoint("last")).weights for each in (run, other))
    assert all(torch.equal(ours[name], theirs[name]) for name in theirs)


def features_of(run):
    return load_checkpoint(run.features).weights


def test_every_image_is_encoded_once(weights, tmp_path, encoded, monkeypatch):
    # Heat maps of the pictures in the report look at an image of this size many times.
    monkeypatch.setattr(evaluate_run, "heat_of", lambda scoring: None)
    run = train_run.train_run(frozen(weights), tmp_path / "run")
    counts = run.summary.counts
    trained = counts.labelled_normal + counts.unlabelled + counts.labelled_abnormal
    held_out = counts.held_out_normal + counts.held_out_abnormal
    assert sum(encoded) == trained + held_out + counts.test_normal + counts.test_abnormal
    assert len(features_of(run.directory)["views"]) == trained
    assert run.summary.auroc is not None


def test_cached_training_is_that_of_the_single_view(weights, whole, tmp_path):
    """New views that are all upright and not augmented, through the encoder at every step."""
    config = frozen(weights, augment={"cached_views": None, "policy": "none"})
    other = train_run.train_run(config, tmp_path / "views").directory
    curves = [[row["total"] for row in run.read_metrics() if "total" in row] for run in (whole, other)]
    assert curves[0] == pytest.approx(curves[1], rel=1e-4)
    ours, theirs = (load_checkpoint(run.checkpoint("last")).weights for run in (whole, other))
    assert all(torch.allclose(ours[name], theirs[name], atol=1e-3) for name in theirs)


def stop_at(monkeypatch, step):
    real = RunRecorder.advance

    def advance(recorder, done):
        real(recorder, done)
        if done == step:
            signal.raise_signal(signal.SIGTERM)

    monkeypatch.setattr(RunRecorder, "advance", advance)


def test_a_stopped_run_resumes_bit_for_bit_without_encoding_again(weights, whole, tmp_path, monkeypatch):
    with monkeypatch.context() as patch:
        stop_at(patch, 5)
        with pytest.raises(Interrupted):
            train_run.train_run(frozen(weights), tmp_path / "run")
    monkeypatch.setattr(feature_cache, "encode_images", lambda *given, **options: pytest.fail("encoded again"))
    monkeypatch.chdir(Path(weights).parent)
    again = frozen(Path(weights).name, data={"image_size": None})  # as a user repeats the command that began the run
    with pytest.raises(UsageError, match="image_size is 40 and was 16"):  # if that command gave a size
        train_run.train_run(again, tmp_path / "run", resume=True)
    monkeypatch.setattr(train_run, "resolve_image_size", lambda data, model: data.image_size or 16)
    run = train_run.train_run(again, tmp_path / "run", resume=True).directory
    assert_same_weights(run, whole)
    assert run.scores.read_text() == whole.scores.read_text()


def test_a_run_that_is_killed_while_it_encodes_begins_again(weights, whole, tmp_path, monkeypatch):
    real = encode.augment_views
    calls = []

    def killed(*arguments, **options):
        calls.append(1)
        if len(calls) == 2:
            raise KeyboardInterrupt
        return real(*arguments, **options)

    with monkeypatch.context() as patch:
        patch.setattr(encode, "augment_views", killed)
        with pytest.raises(KeyboardInterrupt):
            train_run.train_run(frozen(weights), tmp_path / "run")
    assert not (tmp_path / "run" / "features").exists()
    run = train_run.train_run(None, tmp_path / "run", resume=True).directory
    assert_same_weights(run, whole)


@pytest.fixture
def cache(weights, tmp_path):
    """The parts of a run that its cache is made from, a function that makes it, and what was said."""
    config = frozen(weights)
    split = load_split(config.data)
    network = build_network(config.model, 16, rotation_head=False, seed=0)
    run = RunDirectory(tmp_path)
    said = []

    def make(config=config, network=network):
        return feature_cache.cached_features(run, config, split, network, Execution(CPU), silent())

    feature_cache_say = feature_cache.say
    feature_cache.say = lambda console, text: said.append(text)
    yield run, split, network, make, said
    feature_cache.say = feature_cache_say


def test_the_features_are_those_of_the_upright_images(cache):
    _, split, network, make, _ = cache
    found = make()
    mean, std = (torch.tensor(values).view(3, 1, 1) for values in network.statistics)
    images = torch.from_numpy(split.training.images).permute(0, 3, 1, 2) / 255
    with torch.no_grad():
        expected = network.eval().encoder((images - mean) / std)
    torch.testing.assert_close(found.views[:, 0], expected, rtol=1e-4, atol=1e-5)
    assert found.views.shape == (len(split.training.roles), 1, network.encoder_features)
    assert found.held_out.shape == (len(split.held_out.roles), network.encoder_features)


def damage_bytes(run):
    (file,) = run.features.glob("*.safetensors")
    content = bytearray(file.read_bytes())
    content[-7] ^= 1
    file.write_bytes(content)


def damage_manifest(run):
    (run.features / MANIFEST).write_text("{")


def lose_weights(run):
    (file,) = run.features.glob("*.safetensors")
    file.unlink()


def make_infinite(run):
    saved = features_of(run)
    saved["views"][3, 0, 2] = float("inf")
    info = load_checkpoint(run.features).info
    feature_cache.write_checkpoint(run.features, weights=saved, info=info)


def cut_short(run):
    saved = features_of(run)
    info = load_checkpoint(run.features).info
    feature_cache.write_checkpoint(run.features, weights={**saved, "views": saved["views"][1:]}, info=info)


@pytest.mark.parametrize("damage", [damage_bytes, damage_manifest, lose_weights, make_infinite, cut_short])
def test_a_damaged_cache_is_computed_again_and_said(cache, damage):
    run, _, _, make, said = cache
    first = make()
    damage(run)
    again = make()
    assert torch.equal(first.views, again.views)
    assert len(said) == 1
    assert "computed again" in said[0]
    assert torch.equal(features_of(run)["views"], first.views)


def test_a_cache_of_other_weights_is_not_used(cache, weights):
    _, _, network, make, said = cache
    first = make()
    with torch.no_grad():
        next(network.encoder.parameters()).mul_(1.5)
    assert not torch.equal(make().views, first.views)
    assert "other weights" in said[0]


def test_a_second_round_of_labels_encodes_nothing_again(weights, whole, tmp_path, monkeypatch):
    """Labels change the roles of images, and nothing that the features depend on."""
    record = read_record(whole.split)
    unlabelled = [place for place, role in zip(record.train.image, record.train.role, strict=True) if role == 0][:2]
    (tmp_path / "labels.csv").write_text("path,label\n" + "".join(f"train/{place},abnormal\n" for place in unlabelled))
    config = frozen(weights, optim={"max_steps": 1}, data={"image_size": 16, "labels": str(tmp_path / "labels.csv")})
    monkeypatch.setattr(feature_cache, "encode_images", lambda *given, **options: pytest.fail("encoded again"))
    second = train_run.train_run(begun_from(config, whole.path), tmp_path / "second").directory
    assert read_record(second.split).train.role != record.train.role
    assert all(torch.equal(features_of(second)[name], tensor) for name, tensor in features_of(whole).items())


def test_the_features_of_an_earlier_run_of_other_images_are_not_used(weights, whole, tmp_path, monkeypatch):
    used = []
    real = feature_cache.encode_images

    def encode(*given, **options):
        used.append(len(given[1]))
        return real(*given, **options)

    monkeypatch.setattr(feature_cache, "encode_images", encode)
    data, model = {"image_size": 16, "seed": 1}, {"warm_start": str(whole.path)}
    train_run.train_run(frozen(weights, optim={"max_steps": 1}, data=data, model=model), tmp_path / "other")
    assert len(used) == 2  # training and held out


def test_further_views_are_drawn(cache, weights):
    _, _, _, make, _ = cache
    several = make(config=frozen(weights, augment={"cached_views": 3})).views
    torch.testing.assert_close(several[:, 0], make().views[:, 0], rtol=1e-4, atol=1e-5)
    spread = several - several[:, :1]
    assert (spread[:, 1:].abs().amax(2) > 0).all()


def test_features_that_are_not_finite_are_refused(cache):
    run, _, network, make, _ = cache
    with torch.no_grad():
        next(network.encoder.parameters()).fill_(float("nan"))
    with pytest.raises(UsageError, match=r"not finite in float32.*other weights"):
        make()
    assert not run.features.exists()


def test_a_frozen_run_scores_new_images(whole, tmp_path):
    from PIL import Image

    split = load_split(frozen("unused.safetensors").data)
    Image.fromarray(split.test.images[0]).save(tmp_path / "0.png")
    found = predict_run(whole.path, [tmp_path / "0.png"], None)
    score = float(found.table.splitlines()[1].split(",")[1])
    expected = float(whole.scores.read_text().splitlines()[1].split(",")[1])
    assert score == pytest.approx(expected, abs=1e-5)


def test_overwriting_removes_the_features(weights, whole, tmp_path):
    run = tmp_path / "run"
    config = frozen(weights, optim={"max_steps": 1})
    train_run.train_run(config, run)
    train_run.train_run(tiny_config(optim={"max_steps": 1}), run, overwrite=True)
    assert not list((run / "features").glob("*"))


@pytest.mark.parametrize(
    ("sections", "message"),
    [
        ({"model": {"freeze": False}}, "the encoder is trained"),
        ({"augment": {"rotations": 4}}, "no rotated copies"),
        ({"augment": {"cached_views": 0}}, "between 1 and 64"),
    ],
)
def test_configurations_that_cannot_be_cached(weights, sections, message):
    with pytest.raises(UsageError, match=message):
        frozen(weights, **sections)
