"""A run finds its data again: from another working directory, and after the data has moved."""

import gzip
import json
import shutil
import struct

import numpy as np
import pytest
import yaml
from conftest import TINY, flags
from PIL import Image
from test_cli import refused, run

FAST = {**TINY, "optim": {"epochs": 1, "max_steps": 2, "batch_size": 8}}
PARTS = ("train/unlabeled", "train/normal", "train/abnormal", "test/normal", "test/abnormal/dent")
KINDS = ("folder", "csv", "csv with a root", "npz", "beton", "fashion_mnist")


def draw_folder(root):
    rng = np.random.default_rng(0)
    for part in PARTS:
        (root / part).mkdir(parents=True)
        for number in range(4):
            Image.fromarray(rng.integers(0, 256, (12, 12, 3), np.uint8)).save(root / part / f"{number}.png")


def write_fashion_mnist(root):
    rng, per_class = np.random.default_rng(0), 20
    root.mkdir()
    for part in ("train", "t10k"):
        images = rng.integers(0, 256, (10 * per_class, 28, 28), np.uint8)
        labels = np.repeat(np.arange(10, dtype=np.uint8), per_class)
        for name, array in (("images-idx3", images), ("labels-idx1", labels)):
            header = bytes((0, 0, 8, array.ndim)) + struct.pack(f">{array.ndim}I", *array.shape)
            (root / f"{part}-{name}-ubyte.gz").write_bytes(gzip.compress(header + array.tobytes()))


def make(kind, folder, capsys):
    """Make data of a kind in ``folder``; return DATA and the flags as a user gives them there."""
    if kind == "fashion_mnist":
        write_fashion_mnist(folder / "data")  # the folder that is looked into without a --data.root
        return "fashion_mnist", []
    if kind == "npz":
        images = np.random.default_rng(0).integers(0, 256, (24, 12, 12), np.uint8)
        (folder / "data").mkdir()
        y, test_y = [0, 1, -1] * 6, [1, -1] * 3
        np.savez(folder / "data" / "mine.npz", images=images[:18], y=y, test_images=images[18:], test_y=test_y)
        return "data/mine.npz", []
    draw_folder(folder / "data")
    if kind == "folder":
        return "data", []
    if kind == "beton":
        (folder / "betons").mkdir()
        assert run("data", "prepare", "data", "--out", "betons/mine.beton", capsys=capsys)[0] == 0
        shutil.rmtree(folder / "data")
        (folder / "betons").rename(folder / "data")
        return "data/mine.beton", []
    labels = {"unlabeled": 0, "normal": 1, "abnormal": -1}
    rows = [
        f"{path.relative_to(folder / 'data')},{labels[part.split('/')[1]]},{part.split('/')[0]}"
        for part in PARTS
        for path in (folder / "data" / part).iterdir()
    ]
    place = folder if kind == "csv with a root" else folder / "data"
    (place / "mine.csv").write_text("\n".join(["path,label,split", *rows]))
    return ("mine.csv", ["--data.root=data"]) if kind == "csv with a root" else ("data/mine.csv", [])


def tamper(kind, folder):
    """Change one image, as little as the kind of data allows."""
    if kind == "fashion_mnist":
        path = folder / "t10k-images-idx3-ubyte.gz"
        content = bytearray(gzip.decompress(path.read_bytes()))
        content[-1] ^= 1
        path.write_bytes(gzip.compress(bytes(content)))
    elif kind == "npz":
        arrays = dict(np.load(folder / "mine.npz"))
        arrays["images"][0, 0, 0] ^= 1
        np.savez(folder / "mine.npz", **arrays)
    elif kind == "beton":
        path = folder / "mine.beton"
        path.write_bytes(path.read_bytes()[:-1] + b"?")
    else:
        Image.new("RGB", (12, 12)).save(folder / "test/normal/0.png")


@pytest.mark.parametrize("kind", KINDS)
def test_a_run_finds_its_data_from_elsewhere_and_after_a_move(tmp_path, monkeypatch, capsys, kind):
    home, elsewhere, moved = tmp_path / "home", tmp_path / "elsewhere", tmp_path / "moved"
    home.mkdir()
    elsewhere.mkdir()
    (elsewhere / "empty").mkdir()
    monkeypatch.chdir(home)
    data, given = make(kind, home, capsys)
    out = home / "run"
    resume = ("train", "--out", out, "--resume")

    def succeed(*arguments):
        code, _, error = run(*arguments, capsys=capsys)
        assert code == 0, error
        return (out / "scores.csv").read_text()

    scores = succeed("train", data, "--out", "run", *given, *flags(FAST))
    monkeypatch.chdir(elsewhere)
    assert succeed("eval", "--overwrite", out) == scores
    if kind == "folder":
        succeed("train", "--config", out / "config.yaml", "--out", tmp_path / "again")
        assert (tmp_path / "again" / "scores.csv").read_text() == scores

    (home / "data").rename(moved)
    refused("eval", "--overwrite", out, capsys=capsys, match="--data.root")
    refused(*resume, capsys=capsys, match="--data.root")
    refused("eval", "--overwrite", out, "--root", "nowhere", capsys=capsys, match="nowhere")
    refused("eval", "--overwrite", out, "--root", "empty", capsys=capsys, match="empty")
    refused(*resume, "--data.root=../moved", "--data.seed=3", capsys=capsys, match="--data.seed is 3 and was 0")
    assert succeed("eval", "--overwrite", out, "--root", "../moved") == scores
    assert succeed(*resume, "--data.root=../moved") == scores
    assert succeed("eval", "--overwrite", out) == scores  # the run remembers the new place
    kept = yaml.safe_load((out / "config.yaml").read_text())["data"]
    assert str(moved) in f"{kept['name']} {kept['root']}"

    tamper(kind, moved.rename(tmp_path / "other"))
    before = {path: path.read_bytes() for path in out.rglob("*") if path.is_file()}
    match = "is not a valid .beton" if kind == "beton" else "they have changed since it was written"
    refused("eval", "--overwrite", out, "--root", "../other", capsys=capsys, match=match)
    refused(*resume, "--data.root", "../other", capsys=capsys, match=match)
    assert {path: path.read_bytes() for path in out.rglob("*") if path.is_file()} == before


def test_a_mismatch_names_the_folder_that_was_read(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    data, given = make("csv", tmp_path, capsys)
    assert run("train", data, "--out", "run", *given, *flags(FAST), capsys=capsys)[0] == 0
    other = shutil.copytree(tmp_path / "data", tmp_path / "other")
    Image.new("RGB", (12, 12)).save(other / "test/normal/0.png")
    refused("eval", "--overwrite", "run", "--root", "other", capsys=capsys, match=f"does not fit the images of {other}")


def test_a_split_record_that_was_given_is_kept_as_an_absolute_path(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    data, _ = make("folder", tmp_path, capsys)
    assert run("train", data, "--out", "one", *flags(FAST), capsys=capsys)[0] == 0
    again = ("train", data, "--out", "two", "--data.split_record=one/split.json", "--data.seed=5")
    code, said, error = run(*again, *flags(FAST), capsys=capsys)
    assert code == 0, error
    assert "warning: not used, because the split record has its own: --data.seed 5" in said
    config = yaml.safe_load((tmp_path / "two" / "config.yaml").read_text())
    assert config["data"]["split_record"] == str(tmp_path / "one" / "split.json")
    assert json.loads((tmp_path / "two" / "split.json").read_text())["seed"] == 0


def test_a_root_that_moves_nothing_is_refused(tmp_path, capsys):
    out = tmp_path / "run"
    assert run("train", "digits", "--out", out, *flags(FAST), capsys=capsys)[0] == 0
    refused("eval", "--overwrite", out, "--root", tmp_path, capsys=capsys, match="digits come with scikit-learn")
