"""``hscl predict`` as a user runs it: bad files among good ones, and where the scores are written."""

import csv
import errno
import html
import io
import json
import os
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from conftest import TINY, hscl, subprocess_environment, tiny_config
from PIL import Image
from test_cli import refused, run

from hscl_fast.data import new_images
from hscl_fast.data.decode import load_images
from hscl_fast.data.types import Decoding
from hscl_fast.errors import UsageError
from hscl_fast.method.scoring.scoring import Scoring
from hscl_fast.runs import predict_run as module
from hscl_fast.runs.evaluate_run import evaluate_run
from hscl_fast.runs.predict_run import FileError, predict_run
from hscl_fast.runs.train_run import train_run

FAST = {**TINY, "optim": {"epochs": 1, "max_steps": 2, "batch_size": 32}}


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """A run that scores three images at a time, as its configuration says since it was evaluated."""
    path = tmp_path_factory.mktemp("runs") / "run"
    config = train_run(tiny_config(**FAST), path).directory.config
    text = config.read_text()
    config.write_text(re.sub(r"batch_size: 500\b", "batch_size: 3", text))
    assert config.read_text() != text
    return path


@pytest.fixture
def pictures(tmp_path, rng):
    """A folder of eleven PNGs, two of them equal."""
    folder = tmp_path / "pictures"
    folder.mkdir()
    for number in range(10):
        Image.fromarray(rng.integers(0, 256, (8, 9, 3), dtype=np.uint8)).save(folder / f"{number}.png")
    (folder / "91.png").write_bytes((folder / "1.png").read_bytes())
    return folder


def rows(path):
    return list(csv.DictReader(path.open()))


def spoil(folder):
    """Put bad files at the beginning, in the middle, side by side and at the end; return their names."""
    names = [folder / name for name in ("0000.png", "20.png", "21.png", "22.png", "23.png", "zzz.png")]
    for path in names[:-1]:
        path.write_text("not an image")
    names[-1].write_bytes((folder / "0.png").read_bytes()[:-40])
    return [str(path) for path in names]


def test_bad_files_are_listed_and_the_others_scored_as_without_them(trained, pictures, tmp_path, capsys):
    good, mixed = tmp_path / "good.csv", tmp_path / "mixed.csv"
    assert run("predict", trained, pictures, "--out", good, capsys=capsys)[0] == 0
    bad = spoil(pictures)
    code, said, _ = run("predict", trained, pictures, "--out", mixed, capsys=capsys)
    assert code == 3
    assert "11 images scored" in said
    assert f"warning: 6 of 17 files have no score (see the column error): {bad[0]}: its content is not" in said
    assert "; and 1 more" in said
    found = rows(mixed)
    assert [row for row in found if not row["error"]] == rows(good)
    missing = [row for row in found if row["error"]]
    assert [row["path"] for row in missing] == bad
    assert {(row["anomaly_score"], row["decision"]) for row in missing} == {("", "")}
    assert [row["path"] for row in found] == sorted(row["path"] for row in found)
    twins = [row["anomaly_score"] for row in found if Path(row["path"]).name in ("1.png", "91.png")]
    assert twins[0] == twins[1]


def test_files_that_are_all_bad_are_listed_too(trained, tmp_path, capsys):
    for name in ("a.png", "b.png"):
        (tmp_path / name).write_text("not an image")
    out = tmp_path / "scores.csv"
    code, said, _ = run("predict", trained, tmp_path / "a.png", tmp_path / "b.png", "--out", out, capsys=capsys)
    assert code == 3
    assert "0 images scored" in said
    assert "2 of 2 files have no score" in said
    assert [row["error"] for row in rows(out)] == ["its content is not an image of a known format"] * 2


def test_python_returns_the_bad_files(trained, pictures):
    bad = spoil(pictures)
    done = predict_run(trained, [pictures], None)
    assert (done.images, [error.path for error in done.errors]) == (11, bad)
    assert done.errors[0] == FileError(bad[0], "its content is not an image of a known format")
    assert len(list(csv.DictReader(done.table.splitlines()))) == 17


def test_a_score_that_is_not_finite_is_an_error_of_its_file(trained, pictures, monkeypatch):
    scored = Scoring.score_batches

    def first_is_nan(scoring, *arguments):
        scores = scored(scoring, *arguments)
        scores[0] = np.nan
        return scores

    monkeypatch.setattr(Scoring, "score_batches", first_is_nan)
    done = predict_run(trained, [pictures], None)
    assert done.errors == (FileError(str(pictures / "0.png"), "its score is nan, which is not a finite number"),)


def test_no_more_than_a_batch_is_decoded_at_a_time(trained, pictures, tmp_path, monkeypatch):
    decoded, scored = [], []
    load, score = new_images.load_image, Scoring.score_batches
    monkeypatch.setattr(new_images, "load_image", lambda path, size: decoded.append(path) or load(path, size))

    def noted(batches):
        for batch in batches:
            scored.append(len(batch))
            assert len(decoded) == sum(scored) + 1  # and one that is bad
            yield batch

    monkeypatch.setattr(Scoring, "score_batches", lambda self, batches, advance: score(self, noted(batches), advance))
    (pictures / "0000.png").write_text("not an image")
    predict_run(trained, [pictures], tmp_path / "scores.csv")
    assert scored == [3, 3, 3, 2]


@pytest.mark.parametrize("missing", ["nowhere.png", "empty"])
def test_a_path_without_images_is_refused_before_any_work(trained, pictures, tmp_path, capsys, monkeypatch, missing):
    (tmp_path / "empty").mkdir()
    monkeypatch.setattr(module, "open_scoring", None)
    out = tmp_path / "scores.csv"
    paths = (pictures, tmp_path / missing)
    refused("predict", trained, *paths, "--out", out, capsys=capsys, match=str(tmp_path / missing))
    assert not out.exists()


@pytest.mark.parametrize("out", ["pictures", "nowhere/a.csv", "/dev/full", "/proc/a.csv", "a" * 300])
def test_an_out_that_cannot_be_written_is_refused_before_any_work(
    trained, pictures, tmp_path, capsys, monkeypatch, out
):
    monkeypatch.setattr(module, "open_scoring", None)
    place = tmp_path / out
    refused("predict", trained, pictures, "--out", place, "--overwrite", capsys=capsys, match=f"--out {place}")
    assert Path("/dev/full").is_char_device()


def test_a_full_disk_is_an_error_and_keeps_the_old_file(trained, pictures, tmp_path, capsys, monkeypatch):
    out = tmp_path / "scores.csv"
    out.write_text("old")

    def full(*_):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr("hscl_fast.atomic.os.fsync", full)
    match = f"--out {out} cannot be written: No space left on device"
    refused("predict", trained, pictures, "--out", out, "--overwrite", capsys=capsys, match=match)
    assert out.read_text() == "old"
    assert {path.name for path in tmp_path.iterdir()} == {"scores.csv", "pictures"}


def test_out_may_be_the_standard_output(trained, pictures, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (pictures / "bad.png").write_text("not an image")
    done = hscl("predict", trained, pictures, "--out", "-")
    assert done.returncode == 3
    predict_run(trained, [pictures], tmp_path / "scores.csv")
    assert done.stdout == (tmp_path / "scores.csv").read_text()
    assert "11 images scored" in done.stderr
    assert "1 of 12 files have no score" in done.stderr
    assert not (tmp_path / "-").exists()


@pytest.mark.parametrize(("output", "status", "said"), [("closed pipe", 141, ""), ("/dev/full", 2, "No space left")])
def test_a_standard_output_that_takes_nothing(trained, pictures, output, status, said):
    if output == "closed pipe":
        reading, writing = os.pipe()
        os.close(reading)
    else:
        writing = os.open(output, os.O_WRONLY)
    command = [sys.executable, "-m", "hscl_fast", "predict", trained, pictures, "--out", "-"]
    done = subprocess.run(
        command, stdout=writing, stderr=subprocess.PIPE, text=True, env=subprocess_environment(), check=False
    )
    os.close(writing)
    assert done.returncode == status, done.stderr
    assert said in done.stderr
    assert "Traceback" not in done.stderr
    assert "Exception ignored" not in done.stderr


def test_python_expands_the_home_folder(trained, pictures, tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.chdir(pictures)
    assert train_run(tiny_config(**FAST), "~/run").path == tmp_path / "run"
    assert evaluate_run("~/run", overwrite=True).path == tmp_path / "run"
    assert predict_run("~/run", ["~/pictures"], "~/scores.csv").images == 11
    assert (tmp_path / "scores.csv").is_file()
    with pytest.raises(UsageError, match=str(tmp_path / "nowhere")):
        predict_run("~/run", ["~/nowhere"], None)
    assert not (pictures / "~").exists()


@pytest.mark.slow
def test_warnings_of_pillow_are_not_shown(trained, pictures, tmp_path):
    # A TIFF whose directory ends early, of which Pillow warns.
    (pictures / "header.tif").write_bytes(
        b"II*\x00\x08\x00\x00\x00\xc8\x00" + b"\x00\x01\x03\x00\x01\x00\x00\x00\x10\x00\x00\x00"
    )
    done = hscl("predict", trained, pictures, "--out", tmp_path / "scores.csv")
    assert done.returncode == 3, done.stderr
    assert "header.tif" in done.stdout + done.stderr
    assert "UserWarning" not in done.stdout + done.stderr


def test_sorted_and_at_most_so_many(trained, pictures, tmp_path, capsys):
    bad = spoil(pictures)
    paths = [tmp_path / name for name in ("plain.csv", "sorted.csv", "top.csv")]
    for path, options in zip(paths, ((), ("--sort",), ("--top", 3)), strict=True):
        assert run("predict", trained, pictures, "--out", path, *options, capsys=capsys)[0] == 3
    plain, ordered, top = (rows(path) for path in paths)
    assert sorted(map(str, plain)) == sorted(map(str, ordered))
    scores = [float(row["anomaly_score"]) for row in ordered[: -len(bad)]]
    assert scores == sorted(scores, reverse=True)
    assert [row["path"] for row in ordered[-len(bad) :]] == bad
    assert top == ordered[:3] + ordered[-len(bad) :]
    refused("predict", trained, pictures, "--out", "-", "--top", 0, capsys=capsys, match="--top is 0, but must be 1")


def test_json_is_valid_whatever_the_names(trained, pictures, tmp_path, capsys):
    odd = pictures / '"><script>\n\udcff.png'
    (pictures / "3.png").rename(odd)
    (pictures / "bad\udcff.png").write_text("not an image")
    out = tmp_path / "scores.json"
    assert run("predict", trained, pictures, "--out", out, capsys=capsys)[0] == 3
    found = json.loads(out.read_bytes().decode("ascii"))
    assert not any(0xD800 <= ord(letter) < 0xE000 for image in found["images"] for letter in image["path"])
    assert found["run"] == str(trained)
    table = rows_of(run_table(trained, pictures))
    assert [image["path"] for image in found["images"]] == [row["path"] for row in table]
    for image, row in zip(found["images"], table, strict=True):
        assert (image["decision"] or "", image["error"] or "") == (row["decision"], row["error"])
        assert (image["anomaly_score"] is None) == (row["anomaly_score"] == "")
        if image["anomaly_score"] is not None:
            assert (image["anomaly_score"] > found["threshold"]) == (image["decision"] == "abnormal")
    done = hscl("predict", trained, pictures, "--format", "json", "--out", "-")
    assert json.loads(done.stdout) == found


def run_table(trained, pictures):
    return predict_run(trained, [pictures], None).table


def rows_of(table):
    return list(csv.DictReader(io.StringIO(table, newline="")))


def test_other_kinds_of_input_are_scored_alike(trained, pictures, tmp_path):
    wanted = {Path(row["path"]).name: row["anomaly_score"] for row in rows_of(run_table(trained, pictures))}
    (pictures / "list.csv").write_text("path\n" + "".join(f"{name}\n" for name in wanted))
    (tmp_path / "list.txt").write_text("".join(f"{pictures / name}\n" for name in wanted))
    size = predict_run(trained, [pictures], None).calibration.image_size
    stack = load_images([pictures / name for name in wanted], Decoding(size))
    np.savez(tmp_path / "stack.npz", images=stack)
    for given in (pictures / "list.csv", f"@{tmp_path / 'list.txt'}", tmp_path / "stack.npz", f"{pictures}/*.png"):
        found = rows_of(predict_run(trained, [given], None).table)
        assert [row["anomaly_score"] for row in found] == [*wanted.values()]


def test_a_list_may_name_files_that_are_not_there(trained, pictures, tmp_path, capsys):
    (tmp_path / "list.txt").write_text(f"{pictures / '1.png'}\nnowhere.png\n")
    out = tmp_path / "scores.csv"
    assert run("predict", trained, f"@{tmp_path / 'list.txt'}", "--out", out, capsys=capsys)[0] == 3
    assert [row["error"] for row in rows(out)] == ["", "there is no such file"]


def test_a_page_and_images_to_look_through(trained, pictures, tmp_path, capsys):
    odd = '"><script>alert(1)<&.png'
    (pictures / "3.png").rename(pictures / odd)
    (pictures / "below").mkdir()
    (pictures / "4.png").rename(pictures / "below/5.png")  # a name that is there twice
    (pictures / "bad<b>.png").write_text("not an image")
    page, folder = tmp_path / "page.html", tmp_path / "saved"
    options = ("--report", page, "--save_images", folder, "--out", tmp_path / "scores.csv", "--sort")
    code, said, _ = run("predict", trained, pictures, *options, capsys=capsys)
    assert code == 3
    assert "heat maps: occlusion: how much the anomaly score falls" in said
    ranked = [row for row in rows(tmp_path / "scores.csv") if not row["error"]]
    text = page.read_text()
    assert "<script>alert" not in text
    assert "bad<b>" not in text
    assert "bad&lt;b&gt;.png" in text
    assert len(re.findall("<figure", text)) == 11
    assert re.findall(r'data-name="([^"]*)"', text) == [
        html.escape(row["path"]).replace("&quot;", "&#34;") for row in ranked
    ]
    assert re.findall(r"<strong>(abnormal|normal)</strong>", text) == [row["decision"] for row in ranked]
    assert not re.search(r'(src|href)="(?!data:|#)', text)  # nothing from elsewhere
    assert len(list(folder.iterdir())) == 22
    for rank, row in enumerate(ranked, 1):
        own, heat = sorted(folder.glob(f"{rank:04d}-*"), key=lambda path: ".heat" in path.name)
        assert own.name == f"{rank:04d}-{Path(row['path']).name}"
        assert own.read_bytes() == Path(row["path"]).read_bytes()
        with Image.open(heat) as opened:
            assert opened.size == (9, 8)
            assert opened.info["Description"].startswith("Heat map: occlusion")


def test_only_the_top_images_are_shown(trained, pictures, tmp_path, capsys):
    page, folder = tmp_path / "page.html", tmp_path / "saved"
    folder.mkdir()
    code, said, _ = run(
        "predict", trained, pictures, "--top", 2, "--report", page, "--save-images", folder, capsys=capsys
    )
    assert code == 0
    assert "11 images scored" in said
    assert page.read_text().count("<figure") == 2
    assert "The page has the first 2" in page.read_text()
    assert len(list(folder.iterdir())) == 4


def test_nothing_of_the_users_is_overwritten(trained, pictures, tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(module, "open_scoring", None)
    match = f"--save_images {pictures} is a folder with files in it"
    refused("predict", trained, pictures, "--save_images", pictures, "--overwrite", capsys=capsys, match=match)
    file = pictures / "1.png"
    refused("predict", trained, pictures, "--save_images", file, capsys=capsys, match="is a file. Give a folder")
    refused("predict", trained, pictures, "--report", file, capsys=capsys, match=f"--report {file} already exists")
    refused("predict", trained, pictures, "--save_images", file / "a", capsys=capsys, match="there is no folder")
    refused("predict", trained, pictures, capsys=capsys, match="needs --out")
    refused(
        "predict",
        trained,
        pictures,
        "--format",
        "csv",
        "--report",
        tmp_path / "a.html",
        capsys=capsys,
        match="no --out",
    )


def test_an_image_that_is_gone_before_it_is_shown_is_left_out(trained, pictures, tmp_path, capsys, monkeypatch):
    score = Scoring.score_batches

    def then_remove(self, batches, advance):
        found = score(self, batches, advance)
        (pictures / "2.png").unlink(missing_ok=True)
        return found

    monkeypatch.setattr(Scoring, "score_batches", then_remove)
    code, said, _ = run("predict", trained, pictures, "--save_images", tmp_path / "saved", capsys=capsys)
    assert code == 0
    assert "2.png has changed since it was scored" in said
    assert len(list((tmp_path / "saved").iterdir())) == 20


def test_names_of_saved_files_are_short_and_plain(tmp_path):
    from hscl_fast.runs.pictures import _file_name

    assert _file_name("x.npz/images/3") == ("3", "")
    assert _file_name("a\nb/c\td.jpeg") == ("c_d", ".jpeg")
    stem, suffix = _file_name("ä" * 127 + "\udcff.png")
    assert len(os.fsencode(f"0001-{stem}.heat.png")) < 255
    assert suffix == ".png"
