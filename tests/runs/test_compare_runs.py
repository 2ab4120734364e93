"""Runs are compared by what they have written, without scoring again."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from rich.console import Console

from hscl_fast.atomic import json_bytes
from hscl_fast.config.parsing import to_dict
from hscl_fast.config.recipes import load_recipe
from hscl_fast.errors import UsageError
from hscl_fast.evaluation.metrics import detection_metrics
from hscl_fast.evaluation.scores_csv import scores_csv
from hscl_fast.runs.compare_runs import compare_runs
from hscl_fast.runs.directory import RunDirectory
from hscl_fast.runs.show_comparison import show_comparison
from tests.evaluation.pages import NASTY, checked, history, summarise


def write_run(path: Path, shift: float, *, images: int = 200, steps: int = 40, **changes: Any) -> Path:
    """Write a run as if it had been trained, whose scores tell anomalies by ``shift``."""
    directory, abnormal = RunDirectory(path), np.arange(images) % 2 == 0
    scores = np.random.default_rng(0).normal(size=images) + shift * abnormal
    found = detection_metrics(-scores, abnormal, abnormal.astype(np.int64), ["zero", "one"], 0)
    summary = summarise(scores, abnormal, 0.5, **{**vars(found), "step": steps, **changes})
    path.mkdir(parents=True)
    (path / ".hscl-run").write_text("")
    config = load_recipe("cpu", data={"name": "boards"}, optim={"max_steps": steps})
    directory.config.write_text(yaml.safe_dump(to_dict(config)))
    directory.summary.write_bytes(json_bytes(asdict(summary)))
    names = [f"test/{i}.png" for i in range(images)]
    classes = ["one" if flag else "zero" for flag in abnormal]
    directory.scores.write_text(scores_csv(names, scores.tolist(), 0.5, **{"class": classes}))
    for row in history(12):
        directory.append_metrics(row)
    return path


def shown(paths: list[Path]) -> str:
    console = Console(width=200)
    with console.capture() as capture:
        show_comparison(compare_runs(paths), console)
    return " ".join(capture.get().split())


def test_better_scores_are_ahead_and_only_what_differs_is_listed(tmp_path: Path) -> None:
    paths = [write_run(tmp_path / "weak", 1.0), write_run(tmp_path / "strong", 3.0, steps=80)]
    out = tmp_path / "compare.html"
    runs = compare_runs(paths, out)
    assert [run.name for run in runs] == ["weak", "strong"]
    assert runs[1].summary.auroc == pytest.approx(0.98, abs=0.02)
    text = shown(paths)
    assert "--optim.max_steps │ 40 │ 80" in text
    assert text.count("--") == 1
    assert "different images" not in text
    html = checked(out.read_bytes())
    assert "ROC curves of all runs" in html
    assert "Losses, learning rate and held-out AUROC of all runs" in html
    lead = html.partition('data-label="Points over the first" class="number">+')[2].partition("<")[0]
    points, low, high = (float(part.strip("( )")) for part in lead.replace("to", "(").split("("))
    assert 0 < low < points < high
    assert points == pytest.approx(100 * (runs[1].summary.auroc - (runs[0].summary.auroc or 0)), abs=0.06)


def test_different_test_sets_are_said_to_be_so(tmp_path: Path) -> None:
    paths = [write_run(tmp_path / "a", 1.0), write_run(tmp_path / "b", 1.0, images=100)]
    assert "warning: the runs were tested on different images" in shown(paths)
    compare_runs(paths, tmp_path / "page.html")
    html = checked((tmp_path / "page.html").read_bytes())
    assert "tested on different images" in html
    assert "Points over the first" not in html


def test_hostile_names_and_values_are_text(tmp_path: Path) -> None:
    name = NASTY.replace("/", "")
    paths = [write_run(tmp_path / name, 1.0, scoring=NASTY), write_run(tmp_path / "[red]b", 2.0)]
    compare_runs(paths, tmp_path / "page.html")
    assert name not in checked((tmp_path / "page.html").read_bytes())
    assert "[red]b" in shown(paths)


def test_runs_of_one_name_are_told_apart(tmp_path: Path) -> None:
    paths = [write_run(tmp_path / "a" / "run", 1.0), write_run(tmp_path / "b" / "run", 2.0)]
    assert [run.name for run in compare_runs(paths)] == [str(path) for path in paths]


def test_an_evaluation_of_a_run_is_compared_with_another(tmp_path: Path) -> None:
    run, other = write_run(tmp_path / "run", 1.0), write_run(tmp_path / "other", 2.0)
    evaluation = run / "evaluations" / "knn-last"
    evaluation.mkdir(parents=True)
    for name in ("summary.json", "scores.csv"):
        (evaluation / name).write_bytes((other / name).read_bytes())
    runs = compare_runs([run, evaluation])
    assert [run.name for run in runs] == ["run", "knn-last"]
    assert (runs[0].summary.auroc or 0) < (runs[1].summary.auroc or 0)


def test_what_cannot_be_compared_is_refused(tmp_path: Path) -> None:
    run, other = write_run(tmp_path / "run", 1.0), write_run(tmp_path / "other", 1.0)
    with pytest.raises(UsageError, match="Give two or more runs"):
        compare_runs([run])
    with pytest.raises(UsageError, match="given twice"):
        compare_runs([run, run / ".." / "run"])
    with pytest.raises(UsageError, match="is not a run directory"):
        compare_runs([run, tmp_path])
    out = tmp_path / "there.html"
    out.write_text("mine")
    with pytest.raises(UsageError, match=r"already exists.*--overwrite"):
        compare_runs([run, other], out)
    (other / "scores.csv").write_text("path,anomaly_score,decision,class\na.png,nan,normal,zero\n")
    with pytest.raises(UsageError, match=r"scores\.csv cannot be read: a score is not a finite number"):
        compare_runs([run, other])
    (other / "summary.json").write_text("{}")
    with pytest.raises(UsageError, match=r"summary\.json is damaged, or of another version.*hscl eval"):
        compare_runs([run, other])
    (other / "summary.json").unlink()
    with pytest.raises(UsageError, match=r"other has no results.*--resume"):
        compare_runs([run, other])
    assert out.read_text() == "mine"
