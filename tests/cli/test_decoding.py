"""The scale of deep images and the limit of pixels, from training to prediction on the command line."""

import csv

import numpy as np
import pytest
import yaml
from conftest import TINY, flags
from PIL import Image
from test_cli import refused, run

from hscl_fast.config.parsing import from_dict
from hscl_fast.runs.train_run import train_run

FAST = {**TINY, "optim": {"epochs": 1, "max_steps": 2, "batch_size": 8}}
SHARES = {"train/unlabeled": 12, "train/normal": 4, "train/abnormal": 4, "test/normal": 4, "test/abnormal": 4}


def twelve_bits(root, rng):
    """A folder of 12-bit images in 16-bit files."""
    for part, count in SHARES.items():
        (root / part).mkdir(parents=True)
        for number in range(count):
            Image.fromarray(rng.integers(900, 3000, (16, 16), np.uint16)).save(root / part / f"{number}.png")
    return root


def scored(path):
    return {row["path"].rsplit("/", 3)[-1]: row for row in csv.DictReader(path.open())}


@pytest.mark.slow
def test_the_scale_found_in_training_is_that_of_every_later_command(tmp_path, rng, capsys):
    root, out = twelve_bits(tmp_path / "mine", rng), tmp_path / "run"
    warning = "warning: 20 of the 20 files to train on have more than 8 bits per value: read as 12 bits"
    code, said, error = run("train", root, "--out", out, *flags(FAST), capsys=capsys)
    assert code == 0, error
    assert warning in said
    saved = yaml.safe_load((out / "config.yaml").read_text())
    assert saved["data"]["bit_depth"] == 12

    # Dark images alone would have led to 10 bits.
    dark, bright = tmp_path / "dark.png", tmp_path / "bright.png"
    Image.fromarray(np.full((16, 16), 950, np.uint16)).save(dark)
    Image.fromarray(np.full((16, 16), 9000, np.uint16)).save(bright)
    Image.new("L", (16, 16), round(950 * 255 / 4095)).save(tmp_path / "same.png")
    scores = tmp_path / "scores.csv"
    code, _, _ = run("predict", out, dark, bright, tmp_path / "same.png", root / "test", "--out", scores, capsys=capsys)
    assert code == 3
    rows = scored(scores)
    assert "expected 0 to 4095 (bit_depth 12)" in rows["bright.png"]["error"]
    assert rows["dark.png"]["anomaly_score"] == rows["same.png"]["anomaly_score"]
    in_training = {row["path"]: float(row["anomaly_score"]) for row in csv.DictReader((out / "scores.csv").open())}
    again = {row["path"].removeprefix(f"{root}/"): row["anomaly_score"] for row in csv.DictReader(scores.open())}
    # Not the same bits: the last digits depend on the other images of a batch.
    assert {name: float(again[name]) for name in in_training} == pytest.approx(in_training, abs=1e-4)

    for again in (("eval", out, "--overwrite"), ("train", "--out", out, "--resume")):
        code, said, error = run(*again, capsys=capsys)
        assert code == 0, error
        assert "bits per value" not in said
    unset = from_dict({**saved, "data": {**saved["data"], "bit_depth": None}}, "config")
    assert train_run(unset, out, resume=True).config.data.bit_depth == 12

    code, said, error = run("data", "verify", root, capsys=capsys)
    assert warning in said
    assert "if that is wrong, give --bit_depth" in said
    code, said, error = run("data", "verify", root, "--bit_depth", "14", capsys=capsys)
    assert code == 0
    assert "bits per value" not in said


@pytest.mark.slow
def test_the_limit_of_pixels_can_be_changed(tmp_path, rng, capsys):
    root, out = twelve_bits(tmp_path / "mine", rng), tmp_path / "run"
    Image.new("L", (2000, 1500)).save(root / "train/normal/0.png")
    limited = {**FAST, "data": {**FAST.get("data", {}), "max_megapixels": 2}}
    refused("train", root, "--out", out, *flags(limited), capsys=capsys, match="than the 2 million of max_megapixels")
    refused("data", "verify", root, "--max_megapixels", "2", capsys=capsys, match="more than the 2 million")
    beton = ("data", "prepare", root, "--out", tmp_path / "a.beton", "--image_size", "16")
    refused(*beton, "--max_megapixels", "2", capsys=capsys, match="more than the 2 million")
    assert run("train", root, "--out", out, *flags(FAST), capsys=capsys)[0] == 0
    for limit, expected in (("2", 3), ("3", 0)):
        scores = tmp_path / f"{limit}.csv"
        asked = ("predict", out, root / "train/normal", "--out", scores, "--max_megapixels", limit)
        assert run(*asked, capsys=capsys)[0] == expected
        assert ("more than the 2 million of max_megapixels" in scores.read_text()) == (limit == "2")
    refused(
        "predict", out, root, "--out", tmp_path / "0.csv", "--max_megapixels", "0", capsys=capsys, match="1 or more"
    )
