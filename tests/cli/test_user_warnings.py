"""What the command line says of a user's data before it trains on it."""

import re
import shutil

import numpy as np
from conftest import TINY, flags
from PIL import Image
from test_cli import folder_of_images, refused, run

FAST = {**TINY, "optim": {"epochs": 1, "max_steps": 2, "batch_size": 32}}


def test_a_picture_to_train_and_to_test_on_is_warned_of_and_listed(tmp_path, rng, capsys):
    root = folder_of_images(tmp_path / "mine", rng)
    for number in range(5):
        shutil.copy(root / f"train/unlabeled/{number}.png", root / f"test/normal/copy{number}.png")
    first = "train/unlabeled/0.png (train, unlabelled) = test/normal/copy0.png (test, normal)"
    warning = f"warning: 5 pictures are there twice, in uses that contradict each other: {first}"
    out = tmp_path / "run"
    for arguments in (
        ("data", "verify", root),
        ("train", root, "--out", out, *flags(FAST)),
        ("eval", out, "--overwrite"),
    ):
        code, said, error = run(*arguments, capsys=capsys)
        assert code == 0, error
        assert warning in said
    html = (out / "report.html").read_text()
    assert "Pictures that are there twice" in html
    assert len(re.findall(r"test/normal/copy\d\.png</td><td>test, normal", html)) == 5


def test_zeros_and_ones_are_warned_of(tmp_path, rng, capsys):
    data, out = tmp_path / "mine.npz", tmp_path / "run"
    np.savez(data, images=rng.integers(0, 256, (40, 8, 8), np.uint8), y=np.arange(40) % 10 == 0)
    refused("data", "verify", data, capsys=capsys, match="not numbers")
    np.savez(data, images=rng.integers(0, 256, (40, 8, 8), np.uint8), y=(np.arange(40) % 10 == 0).astype(int))
    for arguments in (("data", "verify", data), ("train", data, "--out", out, *flags(FAST))):
        code, said, error = run(*arguments, capsys=capsys)
        assert code == 0, error
        assert "warning: y has 0 and 1 only: read as 0 unlabelled, 1 normal" in said


def test_data_that_is_prepared_is_remarked_on(tmp_path, rng, capsys):
    root = folder_of_images(tmp_path / "mine", rng, ("train/good", "test/good", "test/dent"))
    for arguments in (("data", "verify", root), ("data", "prepare", root, "--out", tmp_path / "mine.beton")):
        code, said, error = run(*arguments, capsys=capsys)
        assert code == 0, error
        assert "read as MVTec's layout: train/good is labelled normal" in said


def test_idle_flags_are_refused_and_recipes_are_not(tmp_path, rng, capsys):
    root, out = folder_of_images(tmp_path / "mine", rng), tmp_path / "run"
    refused("train", root, "--out", out, "--data.pollution_ratio=.3", capsys=capsys, match="--data.pollution_ratio")
    refused("train", root, "--out", out, "--data.root", root, capsys=capsys, match="--data.root")
    refused("data", "verify", root, "--root", root, capsys=capsys, match="--root is")
    prepare = ("data", "prepare", root, "--out", tmp_path / "a.beton", "--normal_class=1")
    refused(*prepare, capsys=capsys, match="--normal_class is 1")
    assert not out.exists()
    recipe = ("--recipe", "released", "--model.width=16", "--optim.max_steps=1", "--evaluate.scoring=paper")
    code, said, error = run("train", root, "--out", out, *recipe, "--runtime.device=cpu", capsys=capsys)
    assert code == 0, error
    assert f"protocol released is not used: {root} brings the role of every image along" in said


def test_float16_on_a_cpu_is_warned_of(tmp_path, capsys):
    config = {**FAST, "runtime": {**FAST["runtime"], "precision": "float16"}, "optim": {"max_steps": 1}}
    out, image = tmp_path / "run", tmp_path / "image.png"
    Image.new("RGB", (8, 8)).save(image)
    small = ("--optim.batch_size=4", "--evaluate.batch_size=500")
    for arguments in (
        ("train", "digits", "--out", out, *flags(config), *small),
        ("eval", out, "--overwrite"),
        ("predict", out, image, "--out", tmp_path / "scores.csv"),
    ):
        code, said, error = run(*arguments, capsys=capsys)
        assert code == 0, error
        assert "warning: float16 on a CPU is many times slower than float32" in said


def test_many_duplicates_are_counted_and_fifty_listed(tmp_path, capsys):
    root = tmp_path / "mine"
    for part in ("train/unlabeled", "test/normal"):
        (root / part).mkdir(parents=True)
        for number in range(60):
            Image.new("L", (8, 8), number).save(root / part / f"{number:02}.png")
    out = tmp_path / "run"
    assert run("train", root, "--out", out, *flags(FAST), capsys=capsys)[0] == 0
    html = (out / "report.html").read_text()
    assert "60 pictures" in html
    assert "The first 50:" in html
    assert html.count("<td>test, normal</td>") == 50
