"""``hscl threshold`` changes all decisions of a run, and nothing else, without scoring again."""

import csv
import json
import shutil

import numpy as np
import pytest
from conftest import TINY, tiny_config
from test_cli import folder_of_images, refused, run

from hscl_fast.method.scoring.scoring import Scoring
from hscl_fast.runs import set_threshold as threshold_module
from hscl_fast.runs.directory import RunDirectory
from hscl_fast.runs.evaluate_run import evaluate_run
from hscl_fast.runs.set_threshold import set_threshold
from hscl_fast.runs.train_run import train_run


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """A run on a folder of images, with another evaluation."""
    folder = tmp_path_factory.mktemp("runs")
    root = folder_of_images(folder / "mine", np.random.default_rng(1))
    fast = {**TINY, "optim": {"max_steps": 2, "batch_size": 32}, "data": {"name": str(root), "image_size": 8}}
    train_run(tiny_config(**fast), folder / "run")
    evaluate_run(folder / "run", scoring="knn", name="near")
    return folder / "run"


@pytest.fixture
def copied(trained, tmp_path, monkeypatch):
    """A copy of the run, on which no image can be scored; heat maps, of the pictures in the report, would do so."""
    monkeypatch.setattr(Scoring, "_evidence_of", None)
    monkeypatch.setattr(threshold_module, "heat_of", lambda scoring: None)
    return RunDirectory(shutil.copytree(trained, tmp_path / "run"))


def decisions(results):
    summary = json.loads(results.summary.read_text())
    rows = list(csv.DictReader(results.scores.open()))
    above = [float(row["anomaly_score"]) > summary["threshold"] for row in rows]
    assert above == [row["decision"] == "abnormal" for row in rows]
    found = summary["decisions"]
    assert found["true_positives"] + found["false_positives"] == sum(above)
    assert f"{summary['threshold']:.4g}" in results.report.read_text()
    return summary, [row["anomaly_score"] for row in rows]


def contents(directory):
    return {path: path.read_bytes() for path in directory.path.rglob("*") if path.is_file() and path.name != ".lock"}


def test_it_changes_all_decisions_and_nothing_else(copied, capsys):
    before, scores = decisions(copied)
    near, config = contents(copied.evaluation("near")), copied.config.read_bytes()
    middle = sorted(map(float, scores))[len(scores) // 2]
    code, said, _ = run("threshold", copied.path, "--threshold", middle, capsys=capsys)
    assert code == 0
    assert f"threshold {middle:.4g}, source: set by hand: recall" in said
    after, same = decisions(copied)
    assert (after["threshold"], after["threshold_interval"], same) == (middle, None, scores)
    changed = {name for name in before if before[name] != after[name]}
    assert changed <= {"decisions", "recall_interval", "false_alarm_interval"} | {x for x in before if "threshold" in x}
    assert (contents(copied.evaluation("near")), copied.config.read_bytes()) == (near, config)
    # hscl eval takes the results for whole, and hscl threshold brings the first threshold back, byte for byte.
    refused("eval", copied.path, capsys=capsys, match="The threshold alone changes with `hscl threshold`")
    assert run("threshold", copied.path, "--best", capsys=capsys)[0] == 0
    assert decisions(copied)[0] == before


def test_the_report_keeps_its_heat_maps_and_pictures(trained, tmp_path):
    run = RunDirectory(shutil.copytree(trained, tmp_path / "run"))

    def pictures():
        page = run.report.read_text()
        return [page.count(text) for text in ("Most suspicious", 'class="heat"', "<img")]

    before = pictures()
    assert before[1] > 0
    value = decisions(run)[0]["threshold"]
    set_threshold(run.path, threshold=value)
    assert pictures() == before


def test_a_bound_on_false_alarms_of_another_evaluation(copied, capsys):
    own = decisions(copied)[0]
    bound = ("--max-false-alarms", 0.25, "--contamination", 0.3, "--evaluation", "near")
    code, said, _ = run("threshold", copied.path, *bound, capsys=capsys)
    assert code == 0
    summary, _ = decisions(copied.evaluation("near"))
    assert summary["threshold_source"].startswith("at most 25 % false alarms among ")
    assert summary["threshold_caution"] in said
    assert summary["threshold_caution"] in copied.evaluation("near").report.read_text()
    assert decisions(copied)[0] == own


def test_it_is_shown_without_an_option(copied, capsys):
    before = contents(copied)
    code, said, _ = run("threshold", copied.path, capsys=capsys)
    assert code == 0
    assert said.startswith(f"threshold {decisions(copied)[0]['threshold']:.4g}")
    assert contents(copied) == before


@pytest.mark.parametrize(
    ("options", "match"),
    [
        (("--threshold", 1, "--best"), "--threshold and --best are given, but only one"),
        (("--threshold", 1, "--max_false_alarms", 0.1), "only one of them can set the threshold"),
        (("--threshold", "nan"), "--threshold is 'nan', but must be a number"),
        (("--max_false_alarms", 1.5), "--max_false_alarms is 1.5, but must be a share"),
        (("--contamination", 0.1), "does nothing without --max_false_alarms"),
        (("--best", "--evaluation", "far"), "does not have. It has near"),
    ],
)
def test_wrong_options_change_nothing(copied, capsys, options, match):
    before = contents(copied)
    refused("threshold", copied.path, *options, capsys=capsys, match=match)
    assert contents(copied) == before


def test_data_that_has_gone_leaves_all_as_it_was_and_may_have_moved(copied, trained, tmp_path, capsys):
    before, data = contents(copied), trained.parent / "mine"
    moved = tmp_path / "moved"
    data.rename(moved)
    try:
        match = "The threshold stays as it is, because the report, which shows images of the data, cannot"
        refused("threshold", copied.path, "--threshold", 1, capsys=capsys, match=match)
        assert contents(copied) == before
        assert run("threshold", copied.path, "--threshold", 1, "--root", moved, capsys=capsys)[0] == 0
        assert decisions(copied)[0]["threshold"] == 1
    finally:
        moved.rename(data)


@pytest.mark.parametrize("name", ["summary.json", "scores.csv", "report.html", "suspects.csv"])
def test_a_file_that_cannot_be_replaced_leaves_the_decisions_as_they_were(copied, capsys, monkeypatch, name):
    import hscl_fast.runs.write_results as module

    real, before = module.replacing, contents(copied)

    def failing(path):
        if path.name == name:
            raise OSError(28, "No space left on device", str(path))
        return real(path)

    monkeypatch.setattr(module, "replacing", failing)
    refused("threshold", copied.path, "--threshold", 1, capsys=capsys, match="cannot be written: No space left")
    assert contents(copied) == before


def test_damaged_scores_are_refused(copied, capsys):
    (state,) = copied.calibration.glob("state-*")
    state.write_bytes(state.read_bytes()[:-1] + b"?")
    match = f"do not match their SHA-256. Run `hscl eval {copied.path} --overwrite` again"
    refused("threshold", copied.path, "--best", capsys=capsys, match=match)


def test_a_run_that_was_not_evaluated_is_told_how(copied):
    shutil.rmtree(copied.calibration)
    copied.summary.unlink()
    with pytest.raises(ValueError, match=r"has no results.*Evaluate again with `hscl eval"):
        set_threshold(copied.path)
    with pytest.raises(ValueError, match=r"not evaluated.*Run `hscl eval"):
        set_threshold(copied.path, best=True)


def test_training_and_evaluation_take_the_rule_from_the_configuration(trained, tmp_path, capsys):
    directory = RunDirectory(shutil.copytree(trained, tmp_path / "run"))
    refused("eval", directory.path, "--data", "x", "--out", "y", "--threshold", 1, capsys=capsys, match="--data")
    assert run("eval", directory.path, "--threshold", 0.25, "--overwrite", capsys=capsys)[0] == 0
    assert decisions(directory)[0]["threshold"] == 0.25
    assert directory.load_config().evaluate.threshold is None
    config = directory.load_config()
    text = directory.config.read_text().replace("max_false_alarms: null", "max_false_alarms: 0.5")
    directory.config.write_text(text)
    assert directory.load_config().evaluate.max_false_alarms == 0.5
    assert config != directory.load_config()
    assert run("eval", directory.path, "--overwrite", capsys=capsys)[0] == 0
    assert decisions(directory)[0]["threshold_source"].startswith("at most 50 % false alarms")
