"""A run with `evaluate.scoring: auto`, from its training to predictions with the score that was chosen."""

import json

import numpy as np
import pytest
import torch
from conftest import tiny_config

from hscl_fast.evaluation.candidates import FROM_SCRATCH
from hscl_fast.runs.calibration import load_calibrated
from hscl_fast.runs.evaluate_run import evaluate_run
from hscl_fast.runs.train_run import train_run


@pytest.mark.parametrize("labelled_ratio", [0.45, 0.05])
def test_the_chosen_score_is_what_predicts(tmp_path, digits, labelled_ratio):
    config = tiny_config(data={"labelled_ratio": labelled_ratio}, optim={"max_steps": 2}, evaluate={"scoring": "auto"})
    run = train_run(config, tmp_path / "run")
    summary = json.loads(run.directory.summary.read_text())
    assert run.directory.load_config().evaluate.scoring == "auto"
    report = run.directory.report.read_text()
    assert f"<code>{summary['scoring']}</code>, {summary['scoring_source']}." in report
    if labelled_ratio == 0.45:
        assert [row["scoring"] for row in summary["candidates"]] == [x for x in FROM_SCRATCH if "likelihood" not in x]
        assert [row["scoring"] for row in summary["candidates"] if row["chosen"]] == [summary["scoring"]]
        assert "AUROC, held out" in report
    else:
        assert (summary["scoring"], summary["candidates"]) == (FROM_SCRATCH[0], [])
        assert "fewer than 10" in summary["scoring_source"]
    scoring, calibration = load_calibrated(run.directory, run.config, torch.device("cpu"))
    assert calibration.scoring == scoring.name == summary["scoring"]
    expected = [-float(row.split(",")[1]) for row in lines(run.directory.scores)]
    np.testing.assert_allclose(scoring.score(digits.test.images), expected, rtol=1e-5, atol=1e-5)
    assert evaluate_run(run.path, scoring="knn").results.path.name == "knn-last"


def lines(path):
    return path.read_text().splitlines()[1:]
