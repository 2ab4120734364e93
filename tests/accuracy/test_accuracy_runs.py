"""Runs of a table: end to end, resumed, failed and stopped."""

import json
import os
import signal

import pytest
from accuracy_records import record

from benchmarks.accuracy import __main__ as command
from benchmarks.accuracy.plan import planned_runs
from benchmarks.accuracy.record import measured
from benchmarks.accuracy.trials import read_table
from hscl_fast.interrupt import Interrupted
from hscl_fast.many_runs import one
from hscl_fast.many_runs.files import RunFiles
from hscl_fast.many_runs.process import request_of
from hscl_fast.many_runs.time_left import TimeLeft
from hscl_fast.runs.contents import MARKER
from hscl_fast.training.step import TrainingStep

TABLE = """
title: Two steps
data: [{name: digits, classes: [0], seeds: [0, 1]}]
trials: [{name: cpu, recipe: cpu, change: {optim: {max_steps: 2, batch_size: 8}}}]
"""


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "two.yaml").write_text(TABLE)
    (tmp_path / "runs").mkdir()
    return tmp_path


def accuracy(folder, *options):
    places = ["--runs", folder / "runs", "--results", folder / "results/accuracy.json", "--page", folder / "page.md"]
    return command.main([str(word) for word in (folder / "two.yaml", *places, *options)])


def results(folder):
    return json.loads((folder / "results/accuracy.json").read_text())


def planned(folder):
    return [
        RunFiles(run, folder / "runs") for run in planned_runs("two", read_table(folder / "two.yaml"), {}, threads=1)
    ]


class InProcess:
    """Runs a trial here, where torch is imported already, in place of a process of its own."""

    def __init__(self, files):
        files.log.touch()
        one.train(request_of(files), measured)
        self.returncode = 0

    def poll(self):
        return self.returncode


class Scripted:
    """A process that has failed, or that runs until it is told to stop."""

    def __init__(self, files, returncode):
        files.log.write_text("loading\nerror: the disk is on fire\n")
        self.returncode = returncode

    def poll(self):
        return self.returncode

    def terminate(self):
        self.returncode = -signal.SIGTERM

    def wait(self):
        assert self.returncode is not None, "never told to stop"


def pretend(files):
    """Leave what a finished run leaves."""
    files.directory.path.mkdir()
    (files.directory.path / MARKER).touch()
    files.directory.save_config(files.run.config)
    files.figures_file.write_text(json.dumps(record(seed=files.run.seed)))


def refuse(files):
    raise AssertionError(f"{files.run.title} was run again")


def test_a_table_end_to_end(folder, capsys, monkeypatch):
    assert accuracy(folder, "--seeds", "0") == 0
    (made,) = results(folder)["runs"]
    assert (made["trial"], made["data"], made["normal_class"], made["seed"]) == ("cpu", "digits", 0, 0)
    assert 0 <= made["auroc_mean"] <= 1
    assert made["views"] == 2 * 8 * 2 * 2  # steps x images x two views x two turns
    assert made["training_flops"] == 3 * made["views"] * made["view_flops"]
    assert 0 < made["train_seconds"] < made["total_seconds"]
    assert made["peers"].keys() == {"isolation_forest", "one_class_svm", "logistic_regression"}
    assert made["threads"] == 1
    assert made["commit"]
    assert str(folder) not in json.dumps(results(folder))
    page = (folder / "page.md").read_text()
    assert f"| cpu | {100 * made['auroc_mean']:.1f} (1) |" in page
    assert (folder / "images/accuracy.svg").exists()
    assert "[1/1] cpu on digits, class 0, gamma_p 0.1, seed 0: AUROC" in capsys.readouterr().out

    monkeypatch.setattr(command, "start", refuse)
    assert accuracy(folder, "--seeds", "0") == 0
    assert results(folder)["runs"] == [made]
    assert "1 runs, 1 finished before" in capsys.readouterr().out


def test_an_interrupted_run_resumes_and_counts_its_time(folder, monkeypatch):
    files = planned(folder)[0]
    steps = []
    call = TrainingStep.__call__

    def counting(self, batch):
        steps.append(batch)
        if len(steps) == 1:
            os.kill(os.getpid(), signal.SIGTERM)
        return call(self, batch)

    monkeypatch.setattr(TrainingStep, "__call__", counting)
    with pytest.raises(Interrupted):
        InProcess(files)
    assert files.figures() is None
    monkeypatch.setattr(one, "_trained_seconds", lambda directory: 1000.0)
    InProcess(files)
    assert len(steps) == 2  # one before and one after
    assert files.figures()["steps"] == 2
    assert files.figures()["total_seconds"] > 1000


def test_a_run_that_was_killed_before_it_began_starts_over(folder, monkeypatch):
    files = planned(folder)[0]
    asked = []
    monkeypatch.setattr(one, "train_run", lambda *given, **options: asked.append(options))
    files.directory.path.mkdir()
    (files.directory.path / MARKER).touch()  # without a configuration there is nothing to resume
    one.train(request_of(files), lambda *given: {})
    files.directory.save_config(files.run.config)
    one.train(request_of(files), lambda *given: {})
    assert [(options["resume"], options["overwrite"]) for options in asked] == [(False, True), (True, False)]


def test_a_run_of_other_defaults_is_made_again(folder):
    files = planned(folder)[0]
    pretend(files)
    assert not files.is_stale
    assert files.figures() is not None
    text = files.directory.config.read_text()
    assert "temperature: 0.5" in text
    files.directory.config.write_text(text.replace("temperature: 0.5", "temperature: 0.7"))
    assert files.is_stale
    assert files.figures() is None


def test_a_failed_run_is_reported_and_the_others_go_on(folder, capsys, monkeypatch):
    def start(files):
        if files.run.seed == 0:
            return Scripted(files, 1)
        pretend(files)
        return Scripted(files, 0)

    monkeypatch.setattr(command, "start", start)
    assert accuracy(folder) == 1
    said = capsys.readouterr().out
    assert "[1/2] FAILED (exit code 1): cpu on digits, class 0, gamma_p 0.1, seed 0" in said
    assert "| error: the disk is on fire" in said
    assert "1 of 2 runs failed" in said
    assert [run["seed"] for run in results(folder)["runs"]] == [1]


def test_a_signal_stops_the_runs_under_way(folder, capsys, monkeypatch):
    started = []

    def start(files):
        started.append(Scripted(files, None))
        os.kill(os.getpid(), signal.SIGINT)
        return started[-1]

    monkeypatch.setattr(command, "start", start)
    assert accuracy(folder) == 128 + signal.SIGINT
    assert [process.returncode for process in started] == [-signal.SIGTERM]
    assert "The same command goes on" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--jobs", "0"], "--jobs is 0"),
        (["--at", "digits"], "must be NAME=PATH"),
        (["--at", "digits=/no/such/place"], "there is no /no/such/place"),
        (["--trial", "other"], "No run of the table"),
    ],
)
def test_wrong_options_are_refused(folder, capsys, options, said):
    assert accuracy(folder, *options) == 2
    assert said in capsys.readouterr().err


def test_time_left_is_that_of_like_runs(folder):
    first, second = planned(folder)
    left = TimeLeft()
    assert left.estimate([], [second.run], jobs=1) is None
    left.add(first.run, 100.0)
    assert left.estimate([(first, 30.0)], [second.run], jobs=1) == pytest.approx(170.0)
    assert left.estimate([(first, 30.0)], [second.run], jobs=2) == pytest.approx(85.0)
    first.directory.path.mkdir()
    first.directory.metrics.write_text('{"step": 5, "seconds_left": 90.0}\n')
    assert left.estimate([(first, 30.0)], [], jobs=1) == pytest.approx(90.0)  # what the run says is more
