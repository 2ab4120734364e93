"""``hscl export``: one file that scores as the run does, used without hscl-fast; one that does not is not left."""

import csv
import re
import shutil
import subprocess
import sys

import numpy as np
import onnx
import onnxruntime
import pytest
import timm
import torch
from conftest import ROOT, tiny_config
from PIL import Image
from safetensors.torch import save_file
from test_cli import refused, run

from hscl_fast.config.scores import SCORE_NAMES
from hscl_fast.errors import UsageError
from hscl_fast.export import export_run as module
from hscl_fast.export.export_run import export_run
from hscl_fast.export.formats import FORMATS
from hscl_fast.runs.predict_run import predict_run
from hscl_fast.runs.train_run import train_run

pytestmark = pytest.mark.slow

EVERY_SCORE = "+".join(SCORE_NAMES)
FAST = {"optim": {"epochs": 1, "max_steps": 2, "batch_size": 32}}


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """A run on digits, scored by the sum of all scores in bfloat16."""
    config = tiny_config(
        **FAST,
        objective={"shift_loss": True},
        runtime={"precision": "bfloat16"},
        evaluate={"scoring": EVERY_SCORE},
    )
    return train_run(config, tmp_path_factory.mktemp("runs") / "digits").path


@pytest.fixture(scope="module")
def exported(trained):
    """Its ONNX file, and what was found on the way."""
    return export_run(trained, trained.parent / "model.onnx")


@pytest.fixture(scope="module")
def pictures(tmp_path_factory):
    """Files of many sizes and modes, oblong, grey, with transparency, and turned by EXIF."""
    folder, rng = tmp_path_factory.mktemp("pictures"), np.random.default_rng(3)
    for number, size in enumerate([(8, 8), (1, 1), (40, 11), (11, 40), (300, 200)]):
        Image.fromarray(rng.integers(0, 256, (*size, 3), dtype=np.uint8)).save(folder / f"colour{number}.png")
    Image.fromarray(rng.integers(0, 256, (30, 50), dtype=np.uint8)).save(folder / "grey.png")
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.fromarray(rng.integers(0, 256, (20, 60, 3), dtype=np.uint8)).save(folder / "turned.jpg", exif=exif)
    return folder


def predicted(trained, pictures, tmp_path):
    """The anomaly scores that hscl predict gives files, in float32."""
    text = (trained / "config.yaml").read_text()
    copy = tmp_path / "copy"
    shutil.copytree(trained, copy)
    (copy / "config.yaml").write_text(re.sub("precision: .*", "precision: float32", text))
    predict_run(copy, [pictures], tmp_path / "scores.csv")
    return {row["path"]: row for row in csv.DictReader((tmp_path / "scores.csv").open())}


def program_of_the_page():
    """The first Python program of docs/export.md."""
    page = (ROOT / "docs" / "export.md").read_text(encoding="utf-8")
    return re.search(r"```python\n(.*?)```", page, re.S)[1]


def test_a_program_without_hscl_fast_scores_as_predict_does(trained, exported, pictures, tmp_path):
    program = program_of_the_page()
    assert len([line for line in program.splitlines() if line]) <= 15
    forbidden = (
        "import sys\n"
        "class Refuse:\n"
        "    def find_spec(self, name, path=None, target=None):\n"
        "        if name.split('.')[0] in ('hscl_fast', 'hscl_kernels', 'torch', 'timm'):\n"
        "            raise ImportError(name)\n"
        "sys.meta_path.insert(0, Refuse())\n"
        "for name in ('hscl_fast', 'torch'):\n"
        "    try:\n"
        "        __import__(name)\n"
        "        raise SystemExit('it can be imported')\n"
        "    except ImportError:\n"
        "        pass\n"
    )
    paths = sorted(pictures.iterdir())
    done = subprocess.run(
        [sys.executable, "-c", forbidden + program, *paths],
        cwd=exported.path.parent,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    first, *lines = done.stdout.splitlines()
    assert first.startswith(f"{EVERY_SCORE} of digits, abnormal above ")
    ours = predicted(trained, pictures, tmp_path)
    assert len(lines) == len(paths) == len(ours)
    for line in lines:
        path, score, decision = line.rsplit(",", 2)
        assert float(score) == pytest.approx(float(ours[path]["anomaly_score"]), abs=1e-4 * exported.parity.unit)
        assert decision == ours[path]["decision"]


def test_all_that_was_found_is_said(trained, tmp_path, capsys, exported, monkeypatch):
    monkeypatch.setattr(module, "export_run", None)
    parity = exported.parity
    assert (parity.images, exported.part) == (100, "test images")
    assert parity.difference < 1e-4
    assert parity.flipped == parity.undecided
    assert exported.recorded.difference > parity.difference  # the run's own scores are of bfloat16
    assert exported.precision == "bfloat16"
    assert exported.both.batches == 7
    assert exported.size == exported.path.stat().st_size
    assert 10e6 < exported.their_memory < exported.our_memory  # torch alone takes more than onnxruntime


def test_any_batch_of_any_size(exported):
    session = onnxruntime.InferenceSession(exported.path)
    assert session.get_inputs()[0].shape == ["batch", "height", "width", 3]
    rng = np.random.default_rng(0)
    images = rng.integers(0, 256, (5, 13, 9, 3), dtype=np.uint8)
    scores, abnormal = session.run(None, {"images": images})
    one_by_one = [session.run(None, {"images": image[None]})[0][0] for image in images]
    np.testing.assert_allclose(scores, one_by_one, atol=1e-4 * exported.parity.unit)
    assert (scores.dtype, abnormal.dtype, scores.shape) == (np.float32, np.bool_, (5,))
    threshold = float(session.get_modelmeta().custom_metadata_map["threshold"])
    assert abnormal.tolist() == (scores > threshold).tolist()


def test_the_metadata_says_what_it_is(trained, exported):
    model = onnx.load(exported.path)
    onnx.checker.check_model(model, full_check=True)
    assert not any(tensor.external_data for tensor in model.graph.initializer)
    about = {entry.key: entry.value for entry in model.metadata_props}
    assert about["run"] == "digits"
    assert about["scoring"] == EVERY_SCORE
    assert about["normal_class"] == "0"
    assert about["image_size"] == "8"
    assert about["score_direction"].startswith("anomaly scores: higher is more anomalous")
    assert about["opset"] == str(model.opset_import[0].version)
    assert about["producer"].startswith("hscl-fast 0.")


def test_a_file_is_replaced_only_on_demand(trained, exported, tmp_path, capsys):
    before = exported.path.read_bytes()
    refused("export", trained, "--out", exported.path, capsys=capsys, match="already exists")
    assert exported.path.read_bytes() == before
    refused("export", trained, "--out", tmp_path / "model.h5", capsys=capsys, match="its ending says what is written")
    refused("export", trained, "--out", tmp_path / "no" / "a.onnx", capsys=capsys, match="does not exist")
    missing = ("export", trained, "--out", tmp_path / "a.onnx", "--evaluation", "no")
    refused(*missing, capsys=capsys, match="which")
    assert not [*tmp_path.iterdir()]


def test_a_missing_extra_is_named(trained, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    match = (
        "onnx, onnxscript, onnxruntime, which are not installed. Install the extra, `pip install 'hscl-fast[export]'`"
    )
    refused("export", trained, "--out", tmp_path / "model.onnx", capsys=capsys, match=match)


def tampered(content, change):
    """An ONNX file of which one number is another."""
    model = onnx.ModelProto.FromString(content)
    change(model.graph)
    return model.SerializeToString()


def larger_weights(graph):
    for tensor in graph.initializer:
        if tensor.name.endswith("conv1.weight"):
            tensor.raw_data = (np.frombuffer(tensor.raw_data, np.float32) * 1.5).tobytes()


def decisions_turned_round(graph):
    (output,) = (node for node in graph.node if "abnormal" in node.output)
    output.output[list(output.output).index("abnormal")] = "other"
    graph.node.append(onnx.helper.make_node("Not", ["other"], ["abnormal"]))


@pytest.mark.parametrize("change", [larger_weights, decisions_turned_round])
@pytest.mark.parametrize("overwrite", [False, True])
def test_a_model_that_scores_otherwise_is_not_left(trained, exported, tmp_path, monkeypatch, change, overwrite):
    content = tampered(exported.path.read_bytes(), change)
    monkeypatch.setattr(module, "trace", lambda *arguments: None)
    monkeypatch.setitem(FORMATS, ".onnx", FORMATS[".onnx"]._replace(content=lambda *arguments: content))
    out = tmp_path / "model.onnx"
    if overwrite:
        out.write_text("an older one")
    with pytest.raises(UsageError, match=r"does not score as the run does, so no file is written"):
        export_run(trained, out, overwrite=overwrite)
    assert [path.name for path in tmp_path.iterdir()] == (["model.onnx"] if overwrite else [])
    if overwrite:
        assert out.read_text() == "an older one"


def test_a_frozen_encoder_and_large_oblong_files(tmp_path, capsys, rng):
    """A run on image files without test images, exported for torch.export."""
    torch.manual_seed(5)
    save_file(timm.create_model("test_byobnet").state_dict(), tmp_path / "weights.safetensors")
    for part in ("normal", "abnormal", "unlabeled"):
        (tmp_path / "mine/train" / part).mkdir(parents=True)
        for number in range(8):
            shape = (150, 90 + 10 * number, 3) if number % 3 else (60, 130)
            pixels = rng.integers(0, 200, shape, dtype=np.uint8) + 50 * (part == "abnormal")
            Image.fromarray(pixels.astype(np.uint8)).save(tmp_path / "mine/train" / part / f"{number}.png")
    model = {"encoder": "test_byobnet", "weights": str(tmp_path / "weights.safetensors"), "freeze": True, "width": 64}
    config = tiny_config(
        **FAST,
        data={"name": str(tmp_path / "mine"), "image_size": 48},
        model=model,
        augment={"cached_views": 1, "rotations": 1},
        runtime={"precision": "float32"},
        evaluate={"scoring": "mahalanobis+regression"},
    )
    trained = train_run(config, tmp_path / "run").path
    code, said, error = run("export", trained, "--out", tmp_path / "model.pt2", capsys=capsys)
    assert code == 0, error
    assert "for torch.export: score mahalanobis+regression of checkpoint last" in said
    assert re.search(
        r"against the run in float32, on \d+ held-out images at their own sizes: scores differ by up", said
    )
    assert "images/s, median of" in said
    assert "peak memory" in said
    about = {"scoring": "", "normal_class": ""}
    loaded = torch.export.load(tmp_path / "model.pt2", extra_files=about)
    assert not [node for node in loaded.graph.nodes if "hscl" in str(node.target)]  # no operation of our own
    program = loaded.module()
    assert about["scoring"] == "mahalanobis+regression"
    path = tmp_path / "mine/train/abnormal/4.png"
    scores, abnormal = program(torch.from_numpy(np.asarray(Image.open(path)))[None])
    table = {row["path"]: row for row in csv.DictReader(predict_run(trained, [path], None).table.splitlines())}
    assert scores.item() == pytest.approx(float(table[str(path)]["anomaly_score"]), rel=1e-4)
    assert ("abnormal" if abnormal else "normal") == table[str(path)]["decision"]
