"""The detector as a scikit-learn estimator, on arrays and on files."""

import copy
import csv
import io
import pickle
import signal
import subprocess
import sys
import threading
from dataclasses import fields, replace

import joblib
import numpy as np
import pytest
import torch
from conftest import subprocess_environment
from PIL import Image
from sklearn.base import clone
from sklearn.exceptions import NotFittedError
from sklearn.model_selection import cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer

from hscl_fast import HSCLDetector
from hscl_fast.config.sections import SECTIONS, Config
from hscl_fast.data.new_images import ArrayImage
from hscl_fast.detector import FIELDS
from hscl_fast.errors import UsageError
from hscl_fast.export import export_run as export_run_module
from hscl_fast.export.export_run import export_run
from hscl_fast.method.scoring.scoring import Scoring
from hscl_fast.runs.evaluate_run import evaluate_run
from hscl_fast.runs.predict_run import predict_run
from hscl_fast.runs.train_run import train_run
from hscl_fast.training.trainer import Trainer

SMALL = {"recipe": "minute", "max_steps": 2, "batch_size": 8, "embedding_dim": 16, "device": "cpu", "threads": 1}


def draw(count, seed=0, size=16):
    return np.random.default_rng(seed).integers(0, 255, (count, size, size, 3)).astype(np.uint8)


X = draw(24)
Y = np.array([1] * 6 + [-1] * 4 + [0] * 14)


@pytest.fixture(scope="module")
def run_dir(tmp_path_factory):
    return tmp_path_factory.mktemp("detector") / "run"


@pytest.fixture(scope="module")
def detector(run_dir):
    return HSCLDetector(**SMALL, run_dir=run_dir).fit(X, Y)


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    """Three images as files, one of them with a name that is not UTF-8 and one that breaks lists."""
    folder = tmp_path_factory.mktemp("files")
    paths = [folder / "a.png", folder / "in,\nit.png", folder / "deeper" / "b\udcff.png"]
    (folder / "deeper").mkdir()
    for path, image in zip(paths, X, strict=False):
        Image.fromarray(image).save(path)
    return paths


# Parameters.


def test_the_parameters_are_fields_of_the_configuration():
    parameters = HSCLDetector().get_params()
    assert parameters.keys() == FIELDS.keys() | {"recipe", "config", "seed", "run_dir", "verbose"}
    assert all(parameters[name] is None for name in FIELDS)
    for name, section in FIELDS.items():
        assert name in {field.name for field in fields(SECTIONS[section])}


def test_single_parameters_come_before_config_and_config_before_the_recipe(tmp_path):
    file = tmp_path / "some.yaml"
    file.write_text("optim: {batch_size: 16, max_steps: 7}\naugment: {hue: 0.2}\n")
    mapping = {"optim": {"batch_size": 16, "max_steps": 7}, "augment": {"hue": 0.2}}
    for given in (mapping, file, str(file)):
        detector = HSCLDetector("minute", config=given, max_steps=np.int64(3), seed=5)
        config = detector._compose()
        assert (config.optim.max_steps, config.optim.batch_size, config.augment.hue) == (3, 16, 0.2)
        assert config.optim.learning_rate == 3e-3  # the recipe's
        assert config.data.seed == config.runtime.seed == 5
    whole = replace(Config(), data=replace(Config().data, name="elsewhere", root="/there", split_record="old.json"))
    config = HSCLDetector("minute", config=whole, image_size=40).get_params()["config"]
    assert config is whole
    config = HSCLDetector("minute", config=whole, image_size=40)._compose()
    assert config.optim == Config().optim  # nothing of the recipe
    assert (config.data.image_size, config.data.root, config.data.split_record) == (40, None, None)


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ({"recipe": "cpuu"}, "Did you mean cpu"),
        ({"batch_size": 0}, "HSCLDetector: optim.batch_size is 0"),
        ({"max_steps": "many"}, "max_steps"),
        ({"config": {"optim": {"max_step": 3}}}, "config has the unknown key optim.max_step"),
        ({"config": {"data": {"name": "digits"}}}, "config has data.name"),
        ({"config": 3}, "config is a int"),
        ({"config": "missing.yaml"}, "missing.yaml cannot be read"),
        ({"config": {"data": {"normal_class": 1}}}, "normal_class"),
    ],
)
def test_a_wrong_parameter_is_reported_by_fit(parameters, message):
    with pytest.raises(UsageError, match=message):
        HSCLDetector(**{**SMALL, **parameters}).fit(X, Y)


def test_a_yaml_file_that_is_none_is_reported(tmp_path):
    for number, content in enumerate([b"- a list", b"a: [", b"\xff\xfe"]):
        file = tmp_path / f"{number}.yaml"
        file.write_bytes(content)
        with pytest.raises(UsageError, match=f"{number}.yaml"):
            HSCLDetector(config=file).fit(X)


# Images and labels.


@pytest.mark.filterwarnings("ignore:y calls 24 of 24")
@pytest.mark.parametrize(
    ("images", "labels", "message"),
    [
        (X, [1] * 23 + [2], r"y\[23\] is 2.*scikit-learn's semi-supervised module uses -1 for unlabelled"),
        (X, Y[:-1], "24 images and y 23 labels"),
        (X, [-1] * 24, "all of them labelled abnormal"),
        (X / 255, Y, r"float64.*\(255 \* X\)"),
        (X.transpose(0, 3, 1, 2), Y, "transpose"),
        (X[:0], None, "0 images"),
        (X[:1], None, "1 image"),
        (X[0, 0], None, "Expected uint8"),
        ([X[0], X[1][:3]], None, "one size"),
        ("folder", None, "is the path 'folder'"),
        (["no.png", "none.png"], None, "2 do not exist.*no.png"),
        ([], None, "0 images"),
        (draw(4, size=4), None, "smaller than the 8"),
    ],
)
def test_wrong_images_and_labels_are_refused(images, labels, message):
    with pytest.raises(UsageError, match=message):
        HSCLDetector(**SMALL).fit(images, labels)


def test_labels_of_another_convention_are_warned_of():
    detector = HSCLDetector(**{**SMALL, "max_steps": 1})
    with pytest.warns(UserWarning, match="uses -1 for unlabelled, which is 0 here"):
        detector.fit(X, [-1] * 20 + [1] * 4)
    with pytest.warns(UserWarning, match="0 and 1 only"):
        detector.fit(X, [0] * 20 + [1] * 4)


def test_all_images_may_be_unlabelled_and_grey():
    detector = HSCLDetector(**SMALL).fit(X[..., 0])
    grey = np.repeat(X[..., :1], 3, axis=3)
    np.testing.assert_array_equal(detector.score_samples(X[..., 0]), detector.score_samples(grey))
    np.testing.assert_array_equal(detector.score_samples(X[..., :1]), detector.score_samples(grey))


def test_views_of_arrays_are_taken(detector):
    backwards = X[::-1, :, :, ::-1]
    read_only = backwards.copy()
    read_only.setflags(write=False)
    np.testing.assert_array_equal(detector.score_samples(backwards), detector.score_samples(read_only))


def test_images_of_another_size_are_resized(detector):
    large = draw(3, size=40)[:, :30]
    small = np.stack([Image.fromarray(image).resize((16, 16), Image.Resampling.BILINEAR) for image in large])
    np.testing.assert_array_equal(detector.score_samples(large), detector.score_samples(small))


def test_files_are_the_same_as_arrays(files, tmp_path):
    arrays = HSCLDetector(**SMALL, image_size=16).fit(X[:3])
    out = tmp_path / "run"
    by_path = HSCLDetector(**SMALL, image_size=16, run_dir=out).fit(files)
    np.testing.assert_array_equal(by_path.score_samples(X[:3]), arrays.score_samples(X[:3]))
    np.testing.assert_array_equal(by_path.score_samples(files), by_path.score_samples(X[:3]))
    np.testing.assert_array_equal(by_path.predict(np.array([str(path) for path in files])), by_path.predict(X[:3]))
    assert sorted(path.name for path in (out / "data").iterdir()) == ["images.csv"]
    assert evaluate_run(out, overwrite=True).summary.counts.unlabelled == 3
    with pytest.raises(UsageError, match="same file as"):
        arrays.fit([*files, files[0]])
    broken = tmp_path / "broken.png"
    broken.write_text("no image")
    with pytest.raises(UsageError, match=r"broken\.png"):
        arrays.score_samples([*files, broken])


# The contract of a fitted detector.


def test_decisions_follow_from_scores(detector):
    scores = detector.score_samples(X)
    assert scores.dtype == np.float64
    halved = copy.deepcopy(detector)
    halved.offset_ = float(np.median(scores))
    for one in (detector, halved):
        np.testing.assert_array_equal(one.decision_function(X), scores - one.offset_)
        np.testing.assert_array_equal(one.predict(X), np.where(scores >= one.offset_, 1, -1))
    assert {*halved.predict(X).tolist()} == {1, -1}


def test_scores_are_those_of_hscl_predict(detector, run_dir, files):
    found = [str(path) for path in files[:2]]
    table = predict_run(run_dir, found, None).table
    rows = list(csv.DictReader(io.StringIO(table)))
    assert [row["path"] for row in rows] == found
    ours = [float(row["anomaly_score"]) for row in rows]
    np.testing.assert_allclose(ours, -detector.score_samples(found), rtol=1e-6, atol=1e-7)
    decided = {"normal": 1, "abnormal": -1}
    assert [decided[row["decision"]] for row in rows] == detector.predict(found).tolist()


def test_embeddings_are_unit_vectors_of_the_network(detector):
    embedded = detector.embed(X[:5])
    assert embedded.dtype == np.float32
    assert embedded.shape == (5, 16)
    np.testing.assert_allclose(np.linalg.norm(embedded, axis=1), 1, atol=1e-5)
    prototypes = detector.network_.prototypes.detach().numpy()
    prototypes = prototypes / np.linalg.norm(prototypes, axis=1, keepdims=True)  # not in place: they are the network's
    own = HSCLDetector.load(detector.run_dir)._fitted.scoring
    paper = Scoring("paper", own.network, own.execution, 5, own.augment)  # Eq. 9: the cosine to the nearest prototype
    np.testing.assert_allclose(paper.score(X[:5]), (embedded @ prototypes.T).max(axis=1), atol=1e-3)


def test_the_run_directory_can_be_kept_and_is_a_run(detector, run_dir):
    assert (run_dir / "report.html").is_file()
    with np.load(run_dir / "data" / "images.npz") as saved:
        np.testing.assert_array_equal(saved["images"], X)
        np.testing.assert_array_equal(saved["y"], Y)
    with pytest.raises(UsageError, match=r"run_dir .* already exists"):
        detector.fit(X, Y)
    again = evaluate_run(run_dir, overwrite=True)
    assert again.summary.counts.labelled_abnormal + again.summary.counts.held_out_abnormal == 4
    with pytest.raises(UsageError, match="belongs to the run"):
        train_run(detector.config_, run_dir, overwrite=True)


def test_a_temporary_run_is_removed(tmp_path, monkeypatch):
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    fitted = HSCLDetector(**SMALL).fit(X, Y)
    assert not list(tmp_path.iterdir())
    assert fitted.config_.data.name == "X"


def test_verbose_prints_what_the_command_line_does(capsys):
    HSCLDetector(**SMALL, verbose=True).fit(X, Y)
    assert "step 2/2" in capsys.readouterr().out
    HSCLDetector(**SMALL).fit(X, Y)
    printed = capsys.readouterr()
    assert not printed.out + printed.err


def test_an_unfitted_detector_says_so(tmp_path):
    for use in ("predict", "score_samples", "decision_function", "embed"):
        with pytest.raises(NotFittedError):
            getattr(HSCLDetector(), use)(X)
    with pytest.raises(NotFittedError):
        HSCLDetector().save(tmp_path / "saved")


# Copies.


def test_saved_and_loaded_it_is_the_same(detector, run_dir, files, tmp_path):
    detector.save(tmp_path / "saved")
    scores = detector.score_samples(X)
    for place in (tmp_path / "saved", run_dir):
        loaded = HSCLDetector.load(place, device="cpu")
        np.testing.assert_array_equal(loaded.score_samples(X), scores)
        assert loaded.offset_ == detector.offset_
        assert loaded.config_ == detector.config_
    assert predict_run(tmp_path / "saved", files[:1], None).images == 1
    with pytest.raises(UsageError, match=r"no split\.json"):
        evaluate_run(tmp_path / "saved", overwrite=True)
    kinds = {path.suffix for path in (tmp_path / "saved").rglob("*") if path.is_file()}
    assert kinds == {"", ".json", ".yaml", ".safetensors"}
    with pytest.raises(UsageError, match="already exists"):
        detector.save(tmp_path / "saved")
    with pytest.raises(UsageError, match="cannot be written"):
        detector.save(tmp_path / "no" / "saved")
    assert [path.name for path in tmp_path.iterdir()] == ["saved"]


def test_a_saved_detector_is_not_exported_without_images(detector, tmp_path):
    detector.save(tmp_path / "saved")
    with pytest.raises(UsageError, match=r"HSCLDetector.save keeps none.*--images"):
        export_run(tmp_path / "saved", tmp_path / "model.pt2")
    with pytest.raises(UsageError, match=r"--root x .* Leave one of them out"):
        export_run(tmp_path / "saved", tmp_path / "model.pt2", images=[ArrayImage("0", X, 0)], root="x")
    assert not (tmp_path / "model.pt2").exists()


@pytest.mark.slow
def test_a_detector_exports_itself(detector, tmp_path, monkeypatch):
    monkeypatch.setattr(export_run_module, "peak_memory", lambda *arguments: None)  # which takes two processes
    detector.export(tmp_path / "model.pt2", X)
    model = torch.export.load(tmp_path / "model.pt2").module()
    scores, abnormal = model(torch.from_numpy(X[:5]))
    scores = scores.detach().numpy()
    # The file computes in float32, the detector perhaps in bfloat16; that both agree in float32 was checked by export.
    np.testing.assert_allclose(scores, -detector.score_samples(X[:5]), rtol=0.1, atol=0.1)
    np.testing.assert_array_equal(abnormal.numpy(), scores > -detector.offset_)
    with pytest.raises(UsageError, match="exists"):
        detector.export(tmp_path / "model.pt2", X)


def test_a_threshold_set_by_hand_is_saved(detector, tmp_path):
    changed = copy.deepcopy(detector)
    changed.offset_ = detector.offset_ + 1
    changed.save(tmp_path / "saved")
    assert HSCLDetector.load(tmp_path / "saved").offset_ == changed.offset_
    assert pickle.loads(pickle.dumps(changed)).offset_ == changed.offset_


def test_pickles_hold_the_detector_itself(detector, tmp_path):
    scores = detector.score_samples(X)
    joblib.dump(detector, tmp_path / "detector.joblib")
    for loaded in (
        pickle.loads(pickle.dumps(detector)),
        joblib.load(tmp_path / "detector.joblib"),
        joblib.load(tmp_path / "detector.joblib", mmap_mode="r"),
    ):
        np.testing.assert_array_equal(loaded.score_samples(X), scores)
        assert loaded.get_params() == detector.get_params()
    script = (
        "import pickle, sys, numpy\n"
        "detector = pickle.load(sys.stdin.buffer)\n"
        "print(detector.score_samples(numpy.zeros((1, 16, 16, 3), 'uint8'))[0])\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", script],
        input=pickle.dumps(detector),
        capture_output=True,
        env=subprocess_environment(),
        cwd=tmp_path,
        check=True,
    )
    assert float(done.stdout) == pytest.approx(detector.score_samples(np.zeros((1, 16, 16, 3), np.uint8))[0], abs=1e-5)


def test_a_clone_is_not_fitted(detector):
    other = clone(detector)
    assert other.get_params() == detector.get_params()
    with pytest.raises(NotFittedError):
        other.predict(X)


# In scikit-learn.


def test_it_works_in_a_pipeline_and_in_cross_validation():
    pipeline = make_pipeline(FunctionTransformer(lambda images: images[:, ::2, ::2]), HSCLDetector(**SMALL))
    labels = np.array([1, -1] * 12)
    found = cross_val_score(pipeline, X, labels, cv=2, scoring="roc_auc", error_score="raise")
    assert ((found >= 0) & (found <= 1)).all()
    assert pipeline.set_params(hscldetector__max_steps=1).fit(X, Y).decision_function(X).shape == (24,)


def test_it_trains_outside_of_the_main_thread():
    fitted = []
    thread = threading.Thread(target=lambda: fitted.append(HSCLDetector(**SMALL).fit(X)))
    thread.start()
    thread.join()
    assert fitted[0].predict(X).shape == (24,)


def test_ctrl_c_is_no_failed_fit(monkeypatch):
    def interrupted(trainer):
        if trainer.state.step == 1:
            signal.raise_signal(signal.SIGINT)

    monkeypatch.setattr(Trainer, "_log", interrupted)
    with pytest.raises(KeyboardInterrupt, match="SIGINT"):
        HSCLDetector(**SMALL, config={"record": {"log_every": 1}}).fit(X)


def test_under_torchrun_it_is_refused(monkeypatch):
    for name, value in {"RANK": "0", "WORLD_SIZE": "2", "LOCAL_RANK": "0"}.items():
        monkeypatch.setenv(name, value)
    with pytest.raises(UsageError, match="torchrun"):
        HSCLDetector(**SMALL).fit(X)
