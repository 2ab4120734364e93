"""``hscl reproduce`` as a user runs it, on digits."""

import csv
import json

import numpy as np
import pytest
from conftest import hscl

from hscl_fast.cli import main as cli
from hscl_fast.config.sections import DataConfig
from hscl_fast.data.named import lsun_imagenet_fix as fix
from hscl_fast.data.named.registry import load_source
from hscl_fast.many_runs import one
from hscl_fast.many_runs.process import request_of
from hscl_fast.reproduce import cost, local_backend, smoke_data
from hscl_fast.reproduce.figures import t_sne
from hscl_fast.reproduce.record import measured
from hscl_fast.reproduce.scenarios import SCENARIOS


class InProcess:
    """Makes a run here, where everything is imported already, in place of a process of its own."""

    def __init__(self, files):
        files.log.touch()
        one.train(request_of(files), measured)

    def poll(self):
        return 0


@pytest.fixture
def made_data(monkeypatch):
    """The smoke budget's data without the 10,000 files of LSUN, and no waiting for timed steps."""
    monkeypatch.setattr(smoke_data, "PER_CLASS", 10)
    monkeypatch.setattr(fix, "PER_CLASS", 10)
    monkeypatch.setattr(fix, "TRAIN_PER_CLASS", 8)
    monkeypatch.setattr(cost._Stopwatch, "seconds_per_step", lambda self, config, lengths: 0.5)


def reproduce(*words):
    return cli.run(["reproduce", *map(str, words)])


def test_figures_from_the_command_to_the_pictures(tmp_path, made_data, monkeypatch, capsys):
    monkeypatch.setattr(local_backend, "start_short", InProcess)
    options = ("--methods", "hscl", "isolation_forest", "--budget", "smoke", "--out", tmp_path)
    assert reproduce("figure3", *options) == 0
    said = capsys.readouterr().out
    assert "2 runs, 0 done before; training that is left: 1 s and what is unknown" in " ".join(said.split())
    assert "[2/2] " in said
    folder = tmp_path / "figure3"
    picture = (folder / "figure-elsa.svg").read_text()
    made = {path.name.partition("-")[0]: json.loads(path.read_text()) for path in (tmp_path / "runs").glob("*.json")}
    assert made["hscl"]["steps"] == 2
    assert f"HSCL: AUROC {100 * made['hscl']['auroc_mean']:.1f} %" in picture
    assert "Initial model: AUROC" in picture
    assert "isolation" not in picture  # it has no features
    assert (folder / "figure-elsa.png").read_bytes().startswith(b"\x89PNG")
    assert f"{100 * made['isolation_forest']['auroc_mean']:.1f} (1)" in (folder / "table.md").read_text()

    def refuse(files):
        raise AssertionError(f"{files.run.title} was run again")

    monkeypatch.setattr(local_backend, "start_short", refuse)
    assert reproduce("figure3", *options) == 0
    assert "2 runs, 2 done before" in " ".join(capsys.readouterr().out.split())


def test_a_sweep_is_drawn_over_its_values(tmp_path, made_data, monkeypatch, capsys):
    monkeypatch.setattr(local_backend, "start_short", InProcess)
    assert reproduce("figure4-left", "--budget", "smoke", "--out", tmp_path) == 0
    assert len([*(tmp_path / "runs").glob("*.json")]) == 2
    assert "w_delta" in (tmp_path / "figure4-left/figure-elsa.svg").read_text()
    table = (tmp_path / "figure4-left/table.md").read_text()
    assert "/ 97.1 |" in table  # the paper's figure stands there, though the smoke budget leaves this column out


def test_a_dry_run_shows_the_cost_and_runs_nothing(tmp_path, made_data, monkeypatch, capsys):
    monkeypatch.setattr(local_backend, "start_short", None)
    assert reproduce("all", "--methods", "hscl", "--budget", "smoke", "--out", tmp_path, "--dry-run") == 0
    said = " ".join(capsys.readouterr().out.split())
    assert "cifar100" in said
    assert "0 done before" in said
    assert not (tmp_path / "runs").exists()


def test_made_data_is_read_by_the_readers_of_the_real_data(tmp_path, made_data):
    smoke_data.make_smoke_data(tmp_path / "made")
    sizes = {}
    for name in ("cifar10", "cifar100", "svhn", "lsun_fix", "imagenet_fix", "cifar10_imagenet"):
        source = load_source(DataConfig(name=name, root=str(tmp_path / "made")))
        sizes[name] = (len(source.train.labels), len(source.test.labels))
        assert source.train.images.shape[1:] == (32, 32, 3)
    assert sizes == {
        "cifar10": (250, 50),
        "cifar100": (600, 200),
        "svhn": (60, 60),
        "lsun_fix": (80, 20),
        "imagenet_fix": (50, 0),
        "cifar10_imagenet": (290, 50 + 10 + 100 + 200 + 60),
    }


def test_t_sne_separates_what_is_apart_and_repeats_itself(rng):
    features = np.concatenate([rng.normal(0, 0.1, (40, 8)), rng.normal(5, 0.1, (40, 8))]).astype(np.float32)
    places = t_sne(features)
    np.testing.assert_array_equal(places, t_sne(features))
    first, second = places[:40], places[40:]
    within = max(np.ptp(first, axis=0).max(), np.ptp(second, axis=0).max())
    assert np.linalg.norm(first.mean(axis=0) - second.mean(axis=0)) > within / 2


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["table6", "--out", "x"], "not a table or figure of the paper"),
        (["table1"], "needs --out DIR"),
        (["table1", "--out", "x", "--jobs", "0"], "--jobs is 0, but must be 1 or more"),
        (["table1", "--out", "x", "--set", "steps=3"], "must be SECTION.FIELD=VALUE"),
        (["table1", "--out", "x", "--data.name", "mnist"], "not a named data set"),
        (["table1", "--out", "x", "--data.root", "a", "b"], "only one folder can be that of all data sets"),
    ],
)
def test_wrong_options_are_refused(words, said, capsys):
    assert reproduce(*words) == 2
    assert said in " ".join(capsys.readouterr().err.split())


@pytest.mark.slow
def test_every_kind_of_cell_of_every_table_and_figure(tmp_path):
    """As a user runs it: each run is a fork of a process that has imported everything."""
    done = hscl("reproduce", "all", "--budget", "smoke", "--out", tmp_path, timeout=1800)
    assert done.returncode == 0, done.stdout + done.stderr
    runs = len([*(tmp_path / "runs").glob("*.json")])
    assert f"[{runs}/{runs}]" in done.stdout
    for scenario in SCENARIOS.values():
        with open(tmp_path / scenario.name / "table.csv", newline="") as file:
            cells = [*csv.DictReader(file)]
        assert not any(cell["missing"] for cell in cells)
        filled = {(cell["row"], cell["column"]) for cell in cells if cell["runs"] == "1" and cell["auroc_mean"]}
        first = scenario.rows[0]
        assert {row for row, _ in filled} == {row.title for row in scenario.rows}
        if scenario.kind == "table":
            assert {column for row, column in filled if row == first.title} == {
                column.key for column in scenario.columns if first.is_run_in(column)
            }
        else:
            assert (tmp_path / scenario.name / "figure-elsa.png").stat().st_size > 10_000
    assert runs == 46
