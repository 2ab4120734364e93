"""Runs of other methods than HSCL: trained, interrupted, evaluated and used like any other."""

import json
import signal

import numpy as np
import pytest
import torch
from PIL import Image

from hscl_fast.comparators import isolation_forest
from hscl_fast.comparators.comparator import Comparator
from hscl_fast.config.methods import HSCL
from hscl_fast.config.recipes import load_recipe
from hscl_fast.detector import HSCLDetector
from hscl_fast.doctor.estimate import plan_estimate
from hscl_fast.errors import UsageError
from hscl_fast.evaluation.heat_maps import heat_map_method
from hscl_fast.interrupt import Interrupted
from hscl_fast.runs.calibration import load_scorer
from hscl_fast.runs.predict_run import predict_run
from hscl_fast.runs.set_threshold import set_threshold
from hscl_fast.runs.suspects_page import suspects_of_run
from hscl_fast.runs.train_run import train_run

NAME = "isolation_forest"


def config(name=NAME, **sections):
    return load_recipe("minute", **{"data": {"name": "digits"}, "method": {"name": name}, **sections})


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    return train_run(config(), tmp_path_factory.mktemp("runs") / "run")


def test_a_run_has_the_results_of_any_other(trained):
    assert trained.summary.method == NAME
    assert trained.summary.auroc > 0.95
    assert trained.summary.suspects is None
    assert f"{NAME} (this run)" in [entry.title for entry in trained.summary.standings]
    written = {path.name for path in trained.path.iterdir()}
    assert {"config.yaml", "split.json", "summary.json", "scores.csv", "report.html", "calibration"} <= written
    assert NAME in (trained.path / "report.html").read_text()


def test_it_predicts_what_it_said_of_the_test_images(trained, tmp_path):
    rng = np.random.default_rng(0)
    for name in "ab":
        Image.fromarray(rng.integers(0, 255, (8, 8, 3), np.uint8)).save(tmp_path / f"{name}.png")
    found = predict_run(trained.path, [tmp_path], None, save_images=tmp_path / "heat")
    assert (found.images, found.abnormal) == (2, 2)  # noise is no zero
    assert len([*(tmp_path / "heat").glob("*.heat.png")]) == 2


def test_its_threshold_changes_without_scoring_again(trained):
    before = json.loads((trained.path / "summary.json").read_text())["threshold"]
    changed = set_threshold(trained.path, max_false_alarms=0.05)
    assert changed.summary.threshold != before


@pytest.mark.parametrize("use", [suspects_of_run, HSCLDetector.load])
def test_what_needs_a_network_of_hscl_says_so(trained, use):
    with pytest.raises(UsageError, match=f"is a run of --method {NAME}"):
        use(trained.path)


def test_the_estimator_is_that_of_hscl_alone():
    with pytest.raises(UsageError, match=f"method.name is '{NAME}', but HSCLDetector"):
        HSCLDetector("minute", config={"method": {"name": NAME}}).fit(np.zeros((4, 8, 8, 3), np.uint8))


def test_the_cost_of_another_method_is_not_passed_off_as_its_own():
    with pytest.raises(UsageError, match=f"--method is '{NAME}', whose cost is not estimated"):
        plan_estimate(config(), torch.device("cpu"), named=True)


@pytest.mark.parametrize(
    ("sections", "message"),
    [
        ({"method": {"name": "isolation-forests"}}, "Did you mean isolation_forest"),
        ({"method": {"name": HSCL, "mode": "original"}}, "shared with --method.name hscl"),
        ({"evaluate": {"scoring": "knn"}}, "has a score of its own"),
        ({"evaluate": {"checkpoint": "best"}}, "keeps the last checkpoint only"),
        ({"model": {"warm_start": "runs/a"}}, "cannot begin with the weights of runs/a"),
    ],
)
def test_what_does_not_go_with_a_method_is_refused(sections, message):
    with pytest.raises(UsageError, match=message):
        config(**sections)


class Walk(Comparator):
    """A random walk of ten steps; the score is minus the distance of an image's mean from where it ends."""

    stop_at = None
    steps = 10

    def fit(self, given, progress):
        saved = progress.saved or {"step": torch.tensor(0), "place": torch.tensor(0.0)}
        self.place = saved["place"]
        for step in range(int(saved["step"]) + 1, self.steps + 1):
            torch.manual_seed(step)
            self.place = self.place + torch.rand(())
            if step == type(self).stop_at:
                signal.raise_signal(signal.SIGTERM)
            state = {"step": torch.tensor(step), "place": self.place}
            progress.advance(step, self.steps, lambda state=state: state, loss=self.place)

    def score(self, images):
        return -np.abs(images.mean(axis=(1, 2, 3)) - float(self.place))

    def state(self):
        return {"place": self.place}

    def load(self, state):
        if "place" not in state:
            raise ValueError("has no place")
        self.place = state["place"]


def test_an_interrupted_training_goes_on_where_it_was(tmp_path, monkeypatch):
    monkeypatch.setattr(isolation_forest, "IsolationForestComparator", Walk)
    settings = config(record={"log_every": 2, "checkpoint_every": 100})
    whole = train_run(settings, tmp_path / "whole")
    monkeypatch.setattr(Walk, "stop_at", 4)
    with pytest.raises(Interrupted, match="at step 4 of 10"):
        train_run(settings, tmp_path / "parts")
    monkeypatch.setattr(Walk, "stop_at", None)
    parts = train_run(None, tmp_path / "parts", resume=True)
    scores = [(run.path / "scores.csv").read_text() for run in (whole, parts)]
    assert scores[0] == scores[1]
    steps = [json.loads(line)["step"] for line in (parts.path / "metrics.jsonl").read_text().splitlines()]
    assert steps == [2, 4, 6, 8, 10]
    again = train_run(None, tmp_path / "parts", resume=True)  # trained to its end: evaluated only
    assert again.summary.step == parts.summary.step == 10


def test_an_unfinished_training_cannot_score(tmp_path, monkeypatch):
    monkeypatch.setattr(isolation_forest, "IsolationForestComparator", Walk)
    monkeypatch.setattr(Walk, "stop_at", 4)
    with pytest.raises(Interrupted):
        train_run(config(), tmp_path / "run")
    Image.new("RGB", (8, 8)).save(tmp_path / "image.png")
    with pytest.raises(UsageError, match="not evaluated"):
        predict_run(tmp_path / "run", [tmp_path / "image.png"], None)


def test_heat_maps_of_a_comparator_are_made_by_occlusion(trained):
    scorer, _ = load_scorer(trained.directory, trained.config, torch.device("cpu"))
    assert scorer.name == NAME
    assert "occlusion" in heat_map_method(scorer)
