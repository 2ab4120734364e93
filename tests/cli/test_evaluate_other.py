"""``hscl eval --data``: a trained run on other test images, with nothing fitted on them and nothing written to it."""

import csv
import json
import shutil

import numpy as np
import pytest
from conftest import TINY, tiny_config
from PIL import Image
from test_cli import folder_of_images, refused, run

from hscl_fast.runs.directory import RunDirectory
from hscl_fast.runs.evaluate_run import evaluate_run
from hscl_fast.runs.train_run import train_run

FAST = {**TINY, "optim": {"epochs": 1, "max_steps": 2, "batch_size": 32}}


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """A run on a folder of images, and that folder beside it."""
    folder = tmp_path_factory.mktemp("runs")
    root = folder_of_images(folder / "mine", np.random.default_rng(1))
    train_run(tiny_config(**{**FAST, "data": {"name": str(root), "image_size": 8}}), folder / "run")
    return folder / "run"


def contents(folder):
    return {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def evaluated(trained, data, out, *options, capsys):
    """Evaluate; return what was said and the summary, and check that the run is as it was."""
    before = contents(trained)
    code, said, error = run("eval", trained, "--data", data, "--out", out, *options, capsys=capsys)
    assert code == 0, error
    assert contents(trained) == before
    assert {path.name for path in out.iterdir()} == {".hscl-evaluation", "summary.json", "scores.csv", "report.html"}
    return said, json.loads((out / "summary.json").read_text())


def scores(path):
    return {row["path"]: row["anomaly_score"] for row in csv.DictReader(path.open())}


def test_the_images_it_was_tested_on_get_the_same_scores(trained, tmp_path, capsys):
    said, summary = evaluated(trained, trained.parent / "mine", tmp_path / "out", capsys=capsys)
    own = json.loads((trained / "summary.json").read_text())
    assert (tmp_path / "out" / "scores.csv").read_text() == (trained / "scores.csv").read_text()
    untouched = ("auroc", "auroc_interval", "threshold", "threshold_source", "decisions", "counts", "train_seconds")
    assert {name: summary[name] for name in untouched} == {name: own[name] for name in untouched}
    assert summary["data"] == str(trained.parent / "mine")
    assert "to test on: read test/abnormal/ as abnormal, test/normal/ as normal" in said
    assert "not read: train/" in said
    assert f"report: {tmp_path / 'out' / 'report.html'}" in said
    assert "hscl predict" not in said
    html = (tmp_path / "out" / "report.html").read_text()
    assert f"the run {trained}, trained on {trained.parent / 'mine'}, tested on {trained.parent / 'mine'}" in html


@pytest.mark.parametrize(
    ("parts", "said", "classes"),
    [
        (("test/normal", "test/abnormal/chip"), "read test/abnormal/ as abnormal, test/normal/ as normal", ["chip"]),
        (("normal", "abnormal"), "to test on: read abnormal/ as abnormal, normal/ as normal", ["abnormal"]),
        (("ok", "nok/a", "nok/b"), "to test on: read nok/ as abnormal, ok/ as normal", ["a", "b"]),
        (("good", "crack", "hole"), "read good/ as normal, crack/ as abnormal, hole/ as abnormal", ["crack", "hole"]),
        (("train/good", "test/good", "test/hole"), "read test/good/ as normal, test/hole/ as abnormal", ["hole"]),
    ],
)
def test_folders_in_any_layout(trained, tmp_path, rng, capsys, parts, said, classes):
    root = folder_of_images(tmp_path / "other", rng, parts)
    told, summary = evaluated(trained, root, tmp_path / "out", capsys=capsys)
    assert said in told
    assert list(summary["auroc_per_class"]) == classes
    assert (summary["counts"]["test_normal"], summary["counts"]["test_abnormal"]) == (6, 6 * len(classes))
    assert summary["counts"]["unlabelled"] == 6  # of the training images
    assert summary["auroc_interval"] is not None


@pytest.mark.parametrize("kind", ["csv", "csv with a root", "npz", "npz without test_images", "beton"])
def test_lists_arrays_and_betons(trained, tmp_path, rng, capsys, kind):
    root, options = folder_of_images(tmp_path / "other", rng), []
    if kind.startswith("csv"):
        lines = [
            f"test/{part}/{i}.png,{label},test"
            for part, label in (("normal", 1), ("abnormal/dent", -1))
            for i in range(6)
        ]
        data = (root if kind == "csv" else tmp_path) / "list.csv"
        data.write_text("\n".join(["path,label,split", "nowhere.png,0,train", *lines]))
        options = [] if kind == "csv" else ["--root", root]
    elif kind.startswith("npz"):
        data = tmp_path / "other.npz"
        names = ("images", "y") if "without" in kind else ("test_images", "test_y")
        np.savez(data, **dict(zip(names, (rng.integers(0, 256, (12, 20, 20), np.uint8), [1, -1] * 6), strict=True)))
    else:
        data = tmp_path / "other.beton"
        assert run("data", "prepare", root, "--out", data, "--image_size=8", capsys=capsys)[0] == 0
    said, summary = evaluated(trained, data, tmp_path / "out", *options, capsys=capsys)
    assert (summary["counts"]["test_normal"], summary["counts"]["test_abnormal"]) == (6, 6)
    assert ("read images and y, since there is no test_images" in said) == (kind == "npz without test_images")
    assert ("not compared with the training images" in said) == (not kind.startswith("csv"))


def test_one_side_alone_is_scored(trained, tmp_path, rng, capsys):
    root = folder_of_images(tmp_path / "other", rng, ("abnormal",))
    said, summary = evaluated(trained, root, tmp_path / "out", capsys=capsys)
    assert "warning: the test set lacks normal or abnormal images" in said
    assert summary["auroc"] is None
    assert summary["decisions"]["recall_abnormal"] is not None


def test_training_images_are_found_among_them(trained, tmp_path, rng, capsys):
    root = folder_of_images(tmp_path / "other", rng, ("normal", "abnormal"))
    shutil.copy(trained.parent / "mine/train/normal/3.png", root / "normal/copy.png")
    shutil.copy(root / "normal/0.png", root / "abnormal/twin.png")
    said, _ = evaluated(trained, root, tmp_path / "out", capsys=capsys)
    assert "warning: 2 pictures are there twice, in uses that contradict each other" in said
    assert f"{trained.parent / 'mine/train/normal/3.png'} (train, normal) = normal/copy.png (test, normal)" in said
    assert "abnormal/twin.png (test, abnormal) = normal/0.png (test, normal)" in said
    assert (
        'normal/copy.png</td><td data-label="Used for">test, normal' in (tmp_path / "out" / "report.html").read_text()
    )


def test_training_images_that_are_gone_are_not_compared(trained, tmp_path, rng, capsys):
    shutil.copytree(trained, tmp_path / "run")
    config = tmp_path / "run" / "config.yaml"
    config.write_text(config.read_text().replace(str(trained.parent / "mine"), str(tmp_path / "gone")))
    root = folder_of_images(tmp_path / "other", rng, ("normal", "abnormal"))
    said, _ = evaluated(tmp_path / "run", root, tmp_path / "out", capsys=capsys)
    assert (
        f"not compared with the training images for pictures that are in both: they are not in {tmp_path}/gone" in said
    )


def test_another_evaluation_lends_its_score(trained, tmp_path, capsys):
    shutil.copytree(trained, tmp_path / "run")
    evaluate_run(tmp_path / "run", scoring="knn", name="near")
    data = trained.parent / "mine"
    done = evaluate_run(tmp_path / "run", data=str(data), out=tmp_path / "out", name="near")
    assert (done.summary.scoring, done.results.path) == ("knn", tmp_path / "out")
    near = RunDirectory(tmp_path / "run").evaluation("near")
    assert done.results.scores.read_text() == near.scores.read_text()
    both = ("eval", tmp_path / "run", "--data", data, "--out", tmp_path / "new")
    refused(*both, "--scoring", "knn", capsys=capsys, match="--scoring does not go with --data")
    refused(*both, "--checkpoint", "best", capsys=capsys, match="--checkpoint does not go with --data")
    refused(*both, "--name", "far", capsys=capsys, match="does not have. It has near")
    assert not (tmp_path / "new").exists()


def test_an_out_that_is_taken_is_refused(trained, tmp_path, rng, capsys):
    data, out = folder_of_images(tmp_path / "other", rng, ("normal", "abnormal")), tmp_path / "out"
    evaluated(trained, data, out, capsys=capsys)
    again = ("eval", trained, "--data", data, "--out")
    refused(*again, out, capsys=capsys, match="already exists. Replace it with --overwrite")
    evaluated(trained, data, out, "--overwrite", capsys=capsys)
    refused(*again, data, "--overwrite", capsys=capsys, match="is not the folder of an evaluation (it has no .hscl-ev")
    killed = tmp_path / "killed"  # before it was marked
    killed.mkdir()
    evaluated(trained, data, killed, "--overwrite", capsys=capsys)
    (out / ".0123456789abcdef.tmp").touch()
    (out / "notes.txt").write_text("mine")
    before = contents(out)
    refused(*again, out, "--overwrite", capsys=capsys, match="holds files that no evaluation writes (notes.txt)")
    assert contents(out) == before
    refused(*again, trained / "new", capsys=capsys, match="lies in the run")
    refused(*again, "/dev/null/new", capsys=capsys, match="--out /dev/null/new cannot be written: Not a directory")
    refused(*again, "-", capsys=capsys, match="`hscl eval` writes a folder")
    refused("eval", trained, "--data=", "--out", tmp_path / "new", capsys=capsys, match="--data is empty")
    refused("eval", trained, "--data", data, capsys=capsys, match="--data needs --out")
    refused("eval", trained, "--out", tmp_path / "new", capsys=capsys, match="--out needs --data")


@pytest.mark.parametrize(
    ("parts", "match"),
    [
        (("unlabeled",), "unlabeled lies where it has no role. Expected normal/ and abnormal/"),
        (("normal", "photos"), "photos lies where it has no role"),
        (("train/normal",), "has train/ but no test/"),
        ((), "has no images to test on"),
    ],
)
def test_folders_that_cannot_be_tested_on(trained, tmp_path, rng, capsys, parts, match):
    (tmp_path / "other").mkdir()
    root = folder_of_images(tmp_path / "other", rng, parts)
    refused("eval", trained, "--data", root, "--out", tmp_path / "out", capsys=capsys, match=match)
    assert not (tmp_path / "out").exists()


def test_other_data_that_cannot_be_tested_on(trained, tmp_path, rng, capsys):
    def refuse(data, match, *options):
        refused("eval", trained, "--data", data, "--out", tmp_path / "out", *options, capsys=capsys, match=match)
        assert not (tmp_path / "out").exists()

    refuse("digits", "--data is 'digits', a named data set")
    refuse(tmp_path / "nowhere", f"--data is '{tmp_path / 'nowhere'}', which is neither")
    arrays = tmp_path / "a.npz"
    np.savez(arrays, images=rng.integers(0, 256, (3, 8, 8), np.uint8), y=[1, 0, -1])
    refuse(arrays, "y[1] is 0, unlabelled")
    refuse(arrays, f"--root is '{tmp_path}', but", "--root", tmp_path)
    root = folder_of_images(tmp_path / "mine", rng)
    assert run("data", "prepare", root, "--out", tmp_path / "a.beton", "--image_size=16", capsys=capsys)[0] == 0
    refuse(tmp_path / "a.beton", "16 x 16 pixels, but the run was trained on 8 x 8. Prepare the data again")
    root = folder_of_images(tmp_path / "other", rng, ("normal", "abnormal"))
    for name in ("normal/0.png", "abnormal/5.png"):
        (root / name).write_text("not an image")
    refuse(root, "2 files cannot be read as images")
    (root / "list.csv").write_text("path,label,split\nnormal/1.png,1,train\n")
    refuse(root / "list.csv", "lists no image to test on")
    Image.new("RGB", (8, 8)).save(root / "x.png")
    refuse(root, "x.png lies where it has no role")


def test_values_have_the_scale_of_the_run(tmp_path, rng, capsys):
    """The training images have 12 bits; what is tested on would be taken for 10 bits."""
    parts = ("train/normal", "train/abnormal", "train/unlabeled", "test/normal", "test/abnormal")
    for part in parts:
        (tmp_path / "mine" / part).mkdir(parents=True)
        for number in range(4):
            top = 4000 if part.startswith("train") else 1000
            pixels = rng.integers(0, top, (9, 9)).astype(np.uint16)
            Image.fromarray(pixels).save(tmp_path / "mine" / part / f"{number}.png")
    config = tiny_config(**{**FAST, "data": {"name": str(tmp_path / "mine"), "image_size": 8}})
    train_run(config, tmp_path / "run")
    shutil.copytree(tmp_path / "mine" / "test", tmp_path / "other")
    evaluated(tmp_path / "run", tmp_path / "other", tmp_path / "out", capsys=capsys)
    own, other = scores(tmp_path / "run" / "scores.csv"), scores(tmp_path / "out" / "scores.csv")
    assert other == {name.removeprefix("test/"): score for name, score in own.items()}
