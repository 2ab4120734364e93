"""``hscl watch`` as a user runs it."""

import csv
import signal
import subprocess
import sys
import time

import numpy as np
import pytest
from conftest import subprocess_environment, tiny_config
from PIL import Image
from test_cli import refused

from hscl_fast.runs.predict_run import predict_run
from hscl_fast.runs.train_run import train_run
from hscl_fast.runs.watch_run import watch_run

PATIENCE = 120  # seconds; the machine may be busy


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    path = tmp_path_factory.mktemp("runs") / "run"
    train_run(tiny_config(optim={"epochs": 1, "max_steps": 2, "batch_size": 32}), path)
    return path


@pytest.fixture
def folder(tmp_path, rng):
    path = tmp_path / "in"
    (path / "below").mkdir(parents=True)
    for name in ("1.png", "2.png", "below/3.png"):
        draw(path / name, rng)
    return path


def draw(path, rng):
    Image.fromarray(rng.integers(0, 256, (8, 9, 3), dtype=np.uint8)).save(path)


def rows(path):
    return list(csv.DictReader(path.open(newline="")))


def watch_until(trained, folder, out, *steps):
    """Watch, and take each step (condition, action) when its condition holds; stop after the last."""
    left, deadline = list(steps), time.monotonic() + PATIENCE

    def stopped():
        assert time.monotonic() < deadline
        if left and left[0][0]():
            left.pop(0)[1]()
        return not left

    return watch_run(trained, folder, out, stopped=stopped)


def nothing():
    pass


def test_files_that_arrive_get_the_scores_of_predict(trained, folder, tmp_path, rng):
    out = tmp_path / "scores.csv"
    whole = (folder / "1.png").read_bytes()
    half, late = folder / "half.png", folder / "late.png"

    def change():
        draw(late, rng)
        half.write_bytes(whole[:-30])
        (folder / "2.png").unlink()

    done = watch_until(
        trained,
        folder,
        out,
        (
            lambda: len(rows(out)) == 3,
            lambda: (draw(late, rng), half.write_bytes(whole[:-30]), (folder / "2.png").unlink()),
        ),
        (lambda: len(rows(out)) == 4, lambda: half.write_bytes(whole)),
        (lambda: len(rows(out)) == 5, nothing),
    )
    assert done == (5, 0)
    assert [row["path"] for row in rows(out)[3:]] == [str(late), str(half)]
    names = [row["path"] for row in rows(out) if row["path"] != str(folder / "2.png")]
    predict_run(trained, names, tmp_path / "wanted.csv")
    for row in rows(tmp_path / "wanted.csv"):
        (own,) = [other for other in rows(out) if other["path"] == row["path"]]
        assert float(own["anomaly_score"]) == pytest.approx(float(row["anomaly_score"]), abs=1e-5)
        assert own["decision"] == row["decision"]


def test_a_restart_goes_on_where_it_was(trained, folder, tmp_path, rng):
    out = tmp_path / "scores.csv"
    watch_until(trained, folder, out, (lambda: len(rows(out)) == 3, nothing))
    before = out.read_text()
    out.write_text(before[:-5])  # a crash in the middle of the last row
    draw(folder / "4.png", rng)
    (folder / "bad.png").write_text("not an image")
    done = watch_until(trained, folder, out, (lambda: len(rows(out)) == 5, nothing))
    assert done == (3, 1)
    found = rows(out)
    assert out.read_text().startswith(before[: before.rindex("\n", 0, -1)])
    assert sorted(row["path"] for row in found) == sorted(map(str, folder.rglob("*.png")))
    assert [row["error"] for row in found if row["path"].endswith("bad.png")] == [
        "its content is not an image of a known format"
    ]


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_it_well(trained, folder, tmp_path, number):
    out = tmp_path / "scores.csv"
    process = subprocess.Popen(
        [sys.executable, "-m", "hscl_fast", "watch", trained, folder, "--out", out],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        env=subprocess_environment(),
    )
    deadline = time.monotonic() + PATIENCE
    while not (out.exists() and len(rows(out)) == 3):
        assert time.monotonic() < deadline
        assert process.poll() is None, process.communicate()
        time.sleep(0.05)
    process.send_signal(number)
    said, _ = process.communicate(timeout=PATIENCE)
    assert process.returncode == 0, said
    assert f"watching {folder}" in said
    assert "stopped after 3 new rows, 0 of them without a score" in said


@pytest.mark.parametrize(
    ("where", "out", "match"),
    [
        ("nowhere", "scores.csv", "nowhere does not exist"),
        ("in/1.png", "scores.csv", "is a file. Give the folder in which"),
        ("in", "in/scores.png", "which has the name of an image"),
        ("in", "in/below", "below is a folder"),
        ("in", "nowhere/scores.csv", "nowhere does not exist"),
        ("in", "other.csv", "is not a table that"),
    ],
)
def test_what_cannot_be_watched_is_refused(trained, folder, tmp_path, capsys, where, out, match):
    (tmp_path / "other.csv").write_text("a,b\n")
    refused("watch", trained, tmp_path / where, "--out", tmp_path / out, capsys=capsys, match=match)


def test_the_standard_output_is_no_table_to_continue(trained, folder, capsys):
    refused("watch", trained, folder, "--out", "-", capsys=capsys, match="`hscl watch` writes a CSV file")
