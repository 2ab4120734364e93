"""The suspects of a run that was trained on hostile file names: table, page and command."""

from __future__ import annotations

import csv
import json
import re

import numpy as np
import pytest
from conftest import hscl, tiny_config
from PIL import Image

from hscl_fast.errors import UsageError
from hscl_fast.runs.directory import RunDirectory
from hscl_fast.runs.suspects import read_suspects
from hscl_fast.runs.suspects_page import MOST_SHOWN, suspects_of_run
from hscl_fast.runs.train_run import train_run

HOSTILE = ['"><script>alert(1)<', "two\nlines", "=1+1", "a\udcffb", "\x1b[31mred", "plain"]
UNLABELLED = 8


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> RunDirectory:
    """A run on a folder without test images, of which some have hostile names."""
    folder = tmp_path_factory.mktemp("data")
    rng = np.random.default_rng(0)
    names = {"normal": "nnnn", "abnormal": "aaaa", "unlabeled": [*HOSTILE, "b", "c"]}
    for part, own in names.items():
        (folder / "train" / part).mkdir(parents=True)
        for number, name in enumerate(own):
            pixels = rng.integers(0, 256, (12, 20, 3), np.uint8)
            Image.fromarray(pixels).save(folder / "train" / part / f"{name}{number}.png")
    config = tiny_config(
        data={"name": str(folder), "image_size": 8}, optim={"max_steps": 1}, evaluate={"scoring": "knn"}
    )
    return train_run(config, tmp_path_factory.mktemp("runs") / "run").directory


def test_training_writes_the_ranking(run: RunDirectory) -> None:
    rows = [*csv.DictReader(run.suspects.open(newline="", encoding="utf-8"))]
    assert [*rows[0]] == ["rank", "path", "suspicion", "anomaly_score", "weight", "uncertainty"]
    recorded = json.loads(run.split.read_text())["train"]
    unlabelled = [name for name, role in zip(recorded["image"], recorded["role"], strict=True) if role == 0]
    assert len(rows) == len(unlabelled) == UNLABELLED
    escaped = sorted(name.encode("utf-8", "backslashreplace").decode() for name in unlabelled)
    assert sorted(row["path"] for row in rows) == escaped
    assert all(0 <= float(row["weight"]) <= 1 and 0 < float(row["uncertainty"]) <= 1 for row in rows)
    summary = json.loads(run.summary.read_text())["suspects"]
    assert summary["ranking"].startswith("corners+corner_regression+pixels, learned without the image")
    assert (summary["unlabelled"], summary["hidden_anomalies"], summary["average_precision"]) == (
        UNLABELLED,
        None,
        None,
    )


def test_the_page_escapes_names_and_shows_the_originals(run: RunDirectory) -> None:
    page = run.suspects_page.read_text(encoding="utf-8")
    assert "<script" not in page
    assert "&lt;script&gt;alert(1)" in page
    assert page.count('src="data:image/webp;base64,') == UNLABELLED
    assert not re.search(r'(src|href)="(?!data:)', page)
    assert "hidden anomaly<" not in page


def test_top_limits_the_page_and_not_the_table(run: RunDirectory) -> None:
    _, suspects = suspects_of_run(run.path, top=3)
    assert suspects.images == read_suspects(run)
    assert run.suspects_page.read_text(encoding="utf-8").count("<figure") == 3
    for top in (0, MOST_SHOWN + 1):
        with pytest.raises(UsageError, match="--top"):
            suspects_of_run(run.path, top=top)


def test_the_command_lists_them(run: RunDirectory) -> None:
    done = hscl("suspects", run.path, "--top", "8")
    assert done.returncode == 0, done.stderr
    assert "corners+corner_regression+pixels, learned without the image" in done.stdout
    assert "all 8 images" in done.stdout
    assert "\x1b[31m" not in done.stdout
    assert "two\\nlines" in done.stdout


def test_an_image_that_is_gone_leaves_the_others(run: RunDirectory, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its tile says why; the data as a whole is checked against the record before."""
    from hscl_fast.data.bad_images import BadImages
    from hscl_fast.data.originals import Originals

    load = Originals.load

    def failing(self: Originals, name: str, longest: int) -> np.ndarray:
        if "plain" in name:
            raise BadImages([(name, "there is no such file")])
        return load(self, name, longest)

    monkeypatch.setattr(Originals, "load", failing)
    suspects_of_run(run.path)
    page = run.suspects_page.read_text(encoding="utf-8")
    assert page.count('src="data:image/webp;base64,') == UNLABELLED - 1
    assert "there is no such file" in page


@pytest.mark.parametrize("content", ["{}", "[", '{"suspects": null}', '{"suspects": {"ranking": 3}}'])
def test_a_summary_without_a_ranking_is_refused(run: RunDirectory, content: str) -> None:
    whole = run.summary.read_text()
    try:
        run.summary.write_text(content)
        with pytest.raises(UsageError, match="hscl eval"):
            suspects_of_run(run.path)
    finally:
        run.summary.write_text(whole)
