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
    assert len(re.findall(r'test/normal/copy\d\.png</td><td data-label="Used for">test, normal', html)) == 5


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
    assert html.count('<td data-label="Used for">test, normal</td>') == 50


def large_images(root, rng, *, size=(160, 120), count=4):
    for part in ("train/unlabeled", "train/normal", "train/abnormal", "test/normal", "test/abnormal"):
        (root / part).mkdir(parents=True)
        for number in range(count):
            pixels = rng.integers(0, 256, (size[1], size[0], 3), np.uint8)
            Image.fromarray(pixels).save(root / part / f"{number}.jpg")
    return root


def test_images_that_are_shrunk_more_than_fourfold_are_warned_of(tmp_path, rng, capsys):
    root, out = large_images(tmp_path / "mine", rng), tmp_path / "run"
    shrunk = "images of 160x120 px (the median) are shrunk 5-fold to 32 px: small defects vanish; try --data.image_size"
    for arguments in (
        ("data", "verify", root),
        ("train", root, "--out", out, *flags(FAST)),
        ("eval", out, "--overwrite"),
    ):
        code, said, error = run(*arguments, capsys=capsys)
        assert code == 0, error
        assert f"warning: {shrunk} 64" in said
    assert f'<span class="warning">{shrunk} 64</span>' in (out / "report.html").read_text()
    code, said, _ = run("data", "prepare", root, "--out", tmp_path / "a.beton", "--image_size=16", capsys=capsys)
    assert code == 0
    assert "10-fold to 16 px: small defects vanish; try --image_size 64" in said
    code, said, _ = run("data", "prepare", root, "--out", tmp_path / "b.beton", "--image_size=40", capsys=capsys)
    assert (code, "-fold" in said) == (0, False)


def test_arrays_that_are_shrunk_are_warned_of_where_a_size_is_given(tmp_path, rng, capsys):
    data = tmp_path / "mine.npz"
    np.savez(data, images=rng.integers(0, 256, (12, 80, 80), np.uint8), y=np.arange(12) % 3 - 1)
    code, said, _ = run("data", "verify", data, capsys=capsys)
    assert (code, "-fold" in said) == (0, False)  # they keep their size
    code, said, error = run(
        "train", data, "--out", tmp_path / "run", "--data.image_size=16", *flags(FAST), capsys=capsys
    )
    assert code == 0, error
    assert "warning: images of 80x80 px (the median) are shrunk 5-fold to 16 px" in said
