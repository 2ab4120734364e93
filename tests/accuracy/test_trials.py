"""Tables of trials, and the runs and names that follow from them."""

from dataclasses import replace

import pytest

from benchmarks.accuracy.__main__ import ROOT
from benchmarks.accuracy.plan import planned_runs
from benchmarks.accuracy.results import merged, record_of
from benchmarks.accuracy.trials import read_table
from hscl_fast.config.recipes import load_recipe
from hscl_fast.errors import UsageError
from hscl_fast.many_runs.planned import configuration_key, same_configuration

TABLE = """
title: Two trials
data:
  - {name: digits, classes: [3, 1], seeds: [0, 1], pollution_ratio: 0.0}
trials:
  - {name: cpu, recipe: cpu}
  - name: fast
    recipe: cpu
    change: {optim: {learning_rate: 3e-3, max_steps: 2}, data: {image_size: 16}}
    data: [{name: digits, classes: [1]}]
"""


@pytest.fixture
def table(tmp_path):
    def read(text=TABLE):
        path = tmp_path / "table.yaml"
        path.write_text(text)
        return read_table(path)

    return read


def test_every_trial_runs_for_its_classes_and_seeds(table):
    runs = planned_runs("two", table(), {}, threads=1)
    assert [(run.trial, run.normal_class, run.seed) for run in runs] == [
        *(("cpu", 3, 0), ("cpu", 1, 0), ("fast", 1, 0)),  # pairs come together
        *(("cpu", 3, 1), ("cpu", 1, 1)),
    ]
    assert len({run.folder for run in runs}) == len(runs)
    for run in runs:
        config = run.config
        assert (config.data.normal_class, config.data.seed) == (run.normal_class, run.seed)
        assert (config.runtime.seed, config.runtime.threads) == (run.seed, 1)
    assert runs[0].config.data.pollution_ratio == 0.0
    fast = runs[2].config
    assert (fast.optim.learning_rate, fast.optim.max_steps, fast.data.image_size) == (3e-3, 2, 16)
    assert fast.optim.batch_size == load_recipe("cpu").optim.batch_size


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("title:", "titel:", "title is missing"),
        ("recipe: cpu}", "recipe: gpu}", "trial 'cpu'.*must be one of"),
        ("name: fast", "name: cpu", "2 trials named 'cpu'"),
        ("optim:", "optimizer:", "unknown section optimizer"),
        ("learning_rate", "learning_rat", "unknown key optim.learning_rat"),
        ("classes: [3, 1]", "classes: x", "classes is 'x'"),
        ("name: digits", "name: other", "other, which is not a named data set.*--at other=PATH"),
        ("[{name: digits, classes: [1]}]", "[]", "'fast' has no data"),
    ],
)
def test_a_wrong_table_is_refused(table, old, new, said):
    with pytest.raises(UsageError, match=said):
        planned_runs("two", table(TABLE.replace(old, new)), {}, None)


def test_places_are_those_of_this_machine_and_no_part_of_the_key(table):
    own = """
title: Own images
data: [{name: mine}, {name: cifar10, classes: [0]}]
trials: [{name: frozen, recipe: cpu,
          change: {model: {width: 64, weights: net.safetensors}}}]
"""
    keys = []
    for place in ("/a", "/b/c"):
        places = {"mine": f"{place}/x", "cifar10": place, "net.safetensors": f"{place}/net.safetensors"}
        mine, cifar = planned_runs("own", table(own), places, None)
        assert (mine.config.data.name, mine.config.data.root) == (f"{place}/x", None)
        assert (cifar.config.data.name, cifar.config.data.root) == ("cifar10", place)
        assert mine.config.model.weights == f"{place}/net.safetensors"
        assert "/" not in mine.folder
        keys.append((mine.key, cifar.key))
    assert keys[0] == keys[1]
    with pytest.raises(UsageError, match="nothing, which the table"):
        planned_runs("own", table(own), {**places, "nothing": "/"}, None)


def test_the_key_depends_on_what_differs_from_the_defaults():
    config = load_recipe("cpu")
    key = configuration_key(config, "digits")
    assert configuration_key(load_recipe("cpu", optim={"max_steps": config.optim.max_steps}), "digits") == key
    assert configuration_key(load_recipe("cpu", optim={"max_steps": 7}), "digits") != key
    assert configuration_key(load_recipe("cpu", runtime={"seed": 1}), "digits") != key


def test_what_the_data_says_is_no_other_configuration():
    planned = load_recipe("cpu", data={"name": "/x/mine"})
    saved = replace(planned, data=replace(planned.data, name="/y/mine", image_size=32, bit_depth=12))
    assert same_configuration(saved, planned, "mine")
    assert not same_configuration(saved, load_recipe("cpu", data={"image_size": 16}), "mine")
    assert not same_configuration(saved, replace(planned, optim=replace(planned.optim, epochs=7)), "mine")


def test_new_results_replace_those_of_the_same_run_and_of_trials_that_have_changed(table):
    def records(planned, auroc):
        ratios = {"labelled_ratio": 0.05, "pollution_ratio": 0.0, "protocol": "elsa"}
        return [record_of(run, {**ratios, "auroc": auroc}) for run in planned]

    first = table()
    runs = planned_runs("two", first, {}, 1)
    results = merged({"tables": {}, "runs": []}, "two", first, runs, records(runs, 0.5))
    again = merged(results, "two", first, runs, records(runs[:1], 0.6))
    assert len(again["runs"]) == len(runs)
    assert sorted(one["auroc"] for one in again["runs"]) == [0.5] * (len(runs) - 1) + [0.6]
    changed = table(TABLE.replace("max_steps: 2", "max_steps: 3"))
    later = merged(again, "two", changed, planned_runs("two", changed, {}, 1), [])
    assert {one["trial"] for one in later["runs"]} == {"cpu"}
    assert merged(later, "other", first, runs, [])["runs"] == later["runs"]  # another table leaves them alone


@pytest.mark.parametrize("path", sorted(ROOT.glob("benchmarks/accuracy/tables/*.yaml")), ids=lambda path: path.stem)
def test_the_tables_of_the_repository_are_valid(path):
    table = read_table(path)
    every = [data.name for trial in table.trials for data in trial.data or table.data]
    from hscl_fast.data.named.registry import DATA_SETS

    places = {name: "/nowhere" for name in every if name not in DATA_SETS}
    weights = {trial.change.get("model", {}).get("weights") for trial in table.trials} - {None}
    assert planned_runs(path.stem, table, {**places, **{name: f"/nowhere/{name}" for name in weights}}, 1)
