"""Files that a user's folder has and training does not use: left out by request, because of a link, or broken."""

import csv
import json
import os
import shutil

import pytest
from conftest import TINY, flags
from PIL import Image
from test_cli import folder_of_images, refused, run

FAST = {**TINY, "optim": {"epochs": 1, "max_steps": 2, "batch_size": 32}}


def done(*arguments, capsys):
    code, said, error = run(*arguments, capsys=capsys)
    assert code == 0, error
    return said


@pytest.mark.slow
def test_what_is_left_out_is_said_by_every_command(tmp_path, rng, capsys):
    root, out = folder_of_images(tmp_path / "mine", rng), tmp_path / "run"
    assert "is intact" in done("data", "verify", root, capsys=capsys)
    (root / "train/normal/photo.heic").write_text("x")
    shutil.copy(root / "train/unlabeled/0.png", root / "train/unlabeled/0_mask.png")
    said = done("data", "verify", root, capsys=capsys)
    assert "intact" not in said
    assert "was read, but see the warnings" in said
    for arguments in (
        ("data", "verify", root),
        ("data", "prepare", root, "--out", tmp_path / "x.beton"),
        ("data", "views", root, "--out", tmp_path / "x.png"),
        ("train", root, "--out", out, *flags(FAST)),
    ):
        said, exclude = done(*arguments, capsys=capsys), "--data.exclude" if arguments[0] == "train" else "--exclude"
        assert "warning: left out 1 image file of a format that cannot be read (.heic 1): train/normal/photo" in said
        assert f"or confirm with {exclude} '*.heic'" in said
        assert "warning: left out 1 mask beside images: train/unlabeled/0_mask.png" in said
    both = '["*.heic", "*_mask.png"]'
    assert "is intact" in done("data", "verify", root, "--exclude", both, capsys=capsys)
    out2 = tmp_path / "run2"
    said = done("train", root, "--data.exclude", both, "--out", out2, *flags(FAST), capsys=capsys)
    assert "warning: left out" not in said
    assert "*_mask.png" in (out2 / "config.yaml").read_text()
    first, second = (json.loads((one / "split.json").read_text()) for one in (out, out2))
    assert first["train"] == second["train"]
    done("train", "--out", out2, "--resume", capsys=capsys)
    done("eval", out2, "--overwrite", capsys=capsys)
    said = done("predict", out, root, "--out", tmp_path / "p.csv", "--exclude", "test", capsys=capsys)
    assert "left out 1 file or folder, as --exclude says: test/" in said
    assert "/test/" not in (tmp_path / "p.csv").read_text()
    (tmp_path / "more").mkdir()
    shutil.copy(root / "test/normal/0.png", tmp_path / "more/a.png")
    where = (tmp_path / "more", root, "--out", tmp_path / "p.csv", "--overwrite")
    done("predict", out, *where, "--exclude", "test", capsys=capsys)
    refused("predict", out, *where, "--exclude", "tset", capsys=capsys, match="--exclude has 'tset', which matches")
    one = (tmp_path / "more/a.png", "--out", tmp_path / "q.csv", "--exclude", "a.png")
    refused("predict", out, *one, capsys=capsys, match="no PATH is a folder, so it would do nothing")
    refused("data", "verify", root, "--exclude", "*.tif", capsys=capsys, match="--exclude has '*.tif', which matches")


@pytest.mark.parametrize("option", ["--data.exclude=a*", "--data.follow_links=true", "--data.skip_bad=true"])
def test_options_on_files_are_refused_where_there_are_none(tmp_path, capsys, option):
    match = "in which no image files are searched for, so it would do nothing"
    refused("train", "digits", option, "--out", tmp_path / "run", capsys=capsys, match=match)


def test_exclude_is_refused_for_a_list(tmp_path, capsys):
    (tmp_path / "a.csv").write_text("path,label,split\na.png,0,train\n")
    refused(
        "data",
        "verify",
        tmp_path / "a.csv",
        "--exclude",
        "a*",
        capsys=capsys,
        match="lists the images one by one, so it would do nothing",
    )


@pytest.mark.slow
def test_a_data_set_of_links(tmp_path, rng, capsys):
    pool, root, out = folder_of_images(tmp_path / "pool", rng), tmp_path / "mine", tmp_path / "run"
    (root / "test").mkdir(parents=True)
    (root / "train").symlink_to(pool / "train")
    (root / "test/normal").symlink_to(pool / "test/normal")
    (root / "test/abnormal").mkdir()
    for path in (pool / "test/abnormal").rglob("*.png"):
        (root / "test/abnormal" / path.name).symlink_to(path)
    refused(
        "train",
        root,
        "--out",
        out,
        *flags(FAST),
        capsys=capsys,
        match="have links followed with --data.follow_links true",
    )
    follow = ["--data.follow_links", "true"]
    done("train", root, "--out", out, *follow, *flags(FAST), capsys=capsys)
    done("train", "--out", out, "--resume", capsys=capsys)
    done("eval", out, "--overwrite", capsys=capsys)
    done("data", "verify", root, "--follow_links", "true", capsys=capsys)
    done("data", "prepare", root, "--follow_links", "true", "--out", tmp_path / "x.beton", capsys=capsys)
    done("predict", out, root, "--follow_links", "true", "--out", tmp_path / "p.csv", capsys=capsys)
    assert len((tmp_path / "p.csv").read_text().splitlines()) == 1 + len(list(pool.rglob("*.png")))
    record = ("--data.split_record", out / "split.json")
    refused(
        "train", root, *record, "--out", tmp_path / "other", *flags(FAST), capsys=capsys, match="leads outside of it"
    )


@pytest.mark.slow
def test_broken_files_are_left_out_on_request(tmp_path, rng, capsys):
    root, out = folder_of_images(tmp_path / "mine", rng), tmp_path / "run"
    for name in ("train/unlabeled/1.png", "test/normal/2.png"):
        (root / name).write_text("no image")
    refused(
        "train",
        root,
        "--out",
        out,
        *flags(FAST),
        capsys=capsys,
        match="To train without them, add --data.skip_bad true.",
    )
    said = done("train", root, "--data.skip_bad", "true", "--out", out, *flags(FAST), capsys=capsys)
    assert f"warning: left out 2 files that cannot be read as images: {root}/train/unlabeled/1.png (" in said
    with (out / "skipped.csv").open() as file:
        rows = list(csv.reader(file))
    assert [row[0] for row in rows] == ["path", f"{root}/train/unlabeled/1.png", f"{root}/test/normal/2.png"]
    record, scores = (out / "split.json").read_bytes(), (out / "scores.csv").read_bytes()
    assert b"train/unlabeled/1.png" not in record
    said = f"warning: files that cannot be read were left out when the run began: {out / 'skipped.csv'} lists them"
    assert said in done("eval", out, "--overwrite", capsys=capsys)
    assert said in done("train", "--out", out, "--resume", capsys=capsys)
    assert "skipped.csv" in (out / "report.html").read_text()
    assert (record, scores) == ((out / "split.json").read_bytes(), (out / "scores.csv").read_bytes())
    done("train", root, "--data.skip_bad", "true", "--out", out, "--overwrite", *flags(FAST), capsys=capsys)
    assert (record, scores) == ((out / "split.json").read_bytes(), (out / "scores.csv").read_bytes())


@pytest.mark.slow
def test_names_that_are_not_utf8(tmp_path, rng, capsys):
    root, out = folder_of_images(tmp_path / os.fsdecode(b"m\xefne"), rng), tmp_path / os.fsdecode(b"r\xfcn")
    strange = os.fsencode(root) + b"/test/abnormal/ri\xdf"
    os.mkdir(strange)
    for number in range(3):
        Image.new("RGB", (12, 12), (number, 0, 9)).save(os.fsdecode(strange + b"/caf\xe9%d.png" % number))
    for number in range(4):
        shutil.copy(root / f"train/unlabeled/{number}.png", os.fsdecode(strange + b"/copy\xe9%d.png" % number))
    (root / os.fsdecode(b"train/normal/n\xe9.heic")).write_text("x")
    said = done("data", "verify", root, capsys=capsys)
    assert "ri\\udcdf" in said
    done("train", root, "--out", out, *flags(FAST), capsys=capsys)
    done("train", "--out", out, "--resume", capsys=capsys)
    done("train", "--config", out / "config.yaml", "--out", tmp_path / "again", capsys=capsys)
    done("eval", out, "--overwrite", capsys=capsys)
    done("predict", out, root, "--out", tmp_path / "p.csv", capsys=capsys)
    (out / "report.html").read_text(encoding="utf-8")
    for file in (out / "scores.csv", tmp_path / "p.csv"):
        assert "udcdf" in file.read_text(encoding="utf-8")
    json.loads((out / "summary.json").read_text())
