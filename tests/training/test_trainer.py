"""Runs that are stopped or killed resume bit for bit; runs that fail keep their last good checkpoint."""

import json
import random
import signal
import subprocess
import sys
import time

import pytest
import torch
from conftest import TINY, flags, subprocess_environment, tiny_config

from hscl_fast.cli import main as cli
from hscl_fast.console import silent
from hscl_fast.device import Execution
from hscl_fast.errors import UsageError
from hscl_fast.evaluation.validation import held_out_auroc
from hscl_fast.interrupt import Interrupted
from hscl_fast.runs.checkpoint import load_checkpoint
from hscl_fast.runs.directory import RunDirectory
from hscl_fast.runs.lock import RunLock
from hscl_fast.runs.recorder import RunRecorder
from hscl_fast.training import trainer as trainer_module
from hscl_fast.training.recorder import SilentRecorder
from hscl_fast.training.state import TrainingState
from hscl_fast.training.trainer import Trainer

CPU = torch.device("cpu")
STEPS = 40
LONG = {
    **TINY,
    "optim": {"epochs": 100, "max_steps": STEPS, "batch_size": 32, "warmup_share": 0.1},
    "record": {**TINY["record"], "checkpoint_every": 4},
}


@pytest.fixture(scope="module")
def uninterrupted(tmp_path_factory):
    run = tmp_path_factory.mktemp("runs") / "whole"
    assert train_here("digits", "--out", run, *flags(LONG)) == 0
    return run


def train_here(*arguments):
    """``hscl train`` in this process, which has imported torch already."""
    return cli.run(["train", *map(str, arguments)])


def start(run, *arguments):
    """``hscl train`` in a process of its own, which can be killed."""
    return subprocess.Popen(
        [sys.executable, "-m", "hscl_fast", "train", *map(str, arguments), "--out", str(run)],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        env=subprocess_environment(),
    )


def wait_for_step(run, step, process):
    """Wait until the run has logged a step; it may have ended by then."""
    deadline = time.monotonic() + 120
    while time.monotonic() < deadline and process.poll() is None:
        rows = RunDirectory(run).read_metrics()
        if rows and rows[-1]["step"] >= step:
            return
        time.sleep(0.005)


def weights(run):
    return load_checkpoint(run / "checkpoints" / "last", with_state=True)


def assert_same_run(run, whole):
    ours, theirs = weights(run), weights(whole)
    assert ours.info["step"] == theirs.info["step"] == STEPS
    assert all(torch.equal(ours.weights[name], tensor) for name, tensor in theirs.weights.items())
    for name in ("first", "second"):
        moments = zip(ours.state["optimizer"][name], theirs.state["optimizer"][name], strict=True)
        assert all(torch.equal(a, b) for a, b in moments)
    timeless = [
        [{k: v for k, v in row.items() if "second" not in k} for row in RunDirectory(r).read_metrics()]
        for r in (run, whole)
    ]
    assert timeless[0] == timeless[1]
    assert (run / "scores.csv").read_text() == (whole / "scores.csv").read_text()


@pytest.mark.slow
def test_killed_at_random_steps_and_resumed_bit_for_bit(uninterrupted, tmp_path):
    run = tmp_path / "killed"
    draw = random.Random(time.time_ns())
    steps = sorted(draw.sample(range(2, STEPS - 2), 2))
    process = start(run, "digits", *flags(LONG))
    wait_for_step(run, steps[0], process)
    process.kill()
    process.communicate()
    process = start(run, "--resume")
    wait_for_step(run, steps[1], process)
    process.kill()
    process.communicate()
    assert train_here("--out", run, "--resume") == 0, steps
    assert_same_run(run, uninterrupted)


@pytest.mark.slow
@pytest.mark.parametrize(("number", "code"), [(signal.SIGTERM, 143), (signal.SIGINT, 130), (signal.SIGHUP, 129)])
def test_a_signal_saves_the_run_which_resumes_bit_for_bit(uninterrupted, tmp_path, capsys, number, code):
    run = tmp_path / "stopped"
    process = start(run, "digits", *flags(LONG))
    wait_for_step(run, 6, process)
    process.send_signal(number)
    output, _ = process.communicate(timeout=120)
    assert process.returncode == code, output
    assert f"hscl train --out {run} --resume" in output
    step = weights(run).info["step"]
    assert 6 <= step < STEPS
    assert train_here("--out", run, "--resume") == 0
    assert f"from step {step} to step {STEPS}" in capsys.readouterr().out
    assert_same_run(run, uninterrupted)


@pytest.mark.slow
def test_a_reader_that_leaves_stops_the_run_with_everything_saved(uninterrupted, tmp_path):
    """As in ``hscl train ... | head``."""
    run = tmp_path / "piped"
    process = start(run, "digits", *flags(LONG))
    for line in process.stdout:
        if "step " in line:
            break
    process.stdout.close()
    assert process.wait(timeout=120) == 128 + signal.SIGPIPE
    assert 2 <= weights(run).info["step"] < STEPS
    assert train_here("--out", run, "--resume") == 0
    assert_same_run(run, uninterrupted)


def test_resume_with_another_configuration_is_refused(uninterrupted, capsys):
    before = (uninterrupted / "config.yaml").read_text()
    assert train_here("--out", uninterrupted, "--resume", "--optim.learning_rate=0.5") == 2
    assert "optim.learning_rate is 0.5 and was 0.003" in capsys.readouterr().err
    assert (uninterrupted / "config.yaml").read_text() == before


def test_the_saved_configuration_runs_again_identically(uninterrupted, tmp_path):
    again = tmp_path / "again"
    assert train_here("--config", uninterrupted / "config.yaml", "--out", again) == 0
    assert (again / "config.yaml").read_text() == (uninterrupted / "config.yaml").read_text()
    assert_same_run(again, uninterrupted)


def make(split, path, **sections):
    config = tiny_config(**sections)
    run = RunDirectory(path)
    with RunLock(path) as lock:
        run.create(config, split, lock, overwrite=False)
    recorder = RunRecorder(run, silent(), tensorboard=config.record.tensorboard)
    execution = Execution(CPU)
    validate = held_out_auroc(config, split, execution)
    return run, Trainer(config, split.training, recorder, execution, validate=validate)


def test_a_run_that_only_skips_stops_with_its_last_good_checkpoint(digits, tmp_path):
    record = {"checkpoint_every": 1, "log_every": 1}
    run, trainer = make(digits, tmp_path / "run", runtime={"max_skipped_updates": 5}, record=record)
    real = trainer.step.losses
    trainer.step.losses = lambda batch: real(batch) * (float("nan") if trainer.state.step >= 4 else 1)
    with pytest.raises(UsageError, match=r"last 5 updates.*non-finite.*learning_rate"):
        trainer.train()
    checkpoint = load_checkpoint(run.checkpoint("last"), with_state=True)
    assert all(torch.isfinite(tensor).all() for tensor in checkpoint.weights.values())
    assert checkpoint.state["guard"]["skipped"] == checkpoint.info["step"] - 4
    rows = [row for row in run.read_metrics() if "epoch" in row]
    assert rows[-1]["skipped_in_a_row"] == 5
    assert "total" in rows[3]
    assert "total" not in rows[4]


def test_the_best_checkpoint_follows_the_held_out_images(digits, tmp_path, monkeypatch):
    run, trainer = make(digits, tmp_path / "run", optim={"epochs": 4})
    values = iter([0.5, 0.9, 0.9, 0.7])
    monkeypatch.setattr("hscl_fast.evaluation.validation.auroc", lambda scores, abnormal: next(values))
    state = trainer.train()
    per_epoch = trainer.loader.steps_per_epoch
    assert (state.best_auroc, state.best_step) == (0.9, 3 * per_epoch)
    assert load_checkpoint(run.checkpoint("best")).info["step"] == 3 * per_epoch
    validated = [(row["step"], row["held_out_auroc"]) for row in run.read_metrics() if "held_out_auroc" in row]
    assert validated == [(epoch * per_epoch, value) for epoch, value in enumerate([0.5, 0.9, 0.9, 0.7], start=1)]


def test_tensorboard_gets_the_rows_of_the_log(digits, tmp_path):
    pytest.importorskip("tensorboard")
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    run, trainer = make(digits, tmp_path / "run", record={"tensorboard": True})
    trainer.train()
    events = EventAccumulator(str(tmp_path / "run" / "tensorboard")).Reload()
    logged = [(event.step, event.value) for event in events.Scalars("train/total")]
    rows = [row for row in run.read_metrics() if "total" in row]
    assert logged == [(row["step"], pytest.approx(row["total"], rel=1e-6)) for row in rows]


def test_too_small_a_training_set_is_refused(digits):
    from hscl_fast.data.types import TrainingImages

    one = TrainingImages(digits.training.images[:1], digits.training.roles[:1])
    with pytest.raises(UsageError, match=r"1 image.*at least 2"):
        Trainer(tiny_config(), one, SilentRecorder(), Execution(CPU))


def test_log_rows_are_json_with_the_promised_figures(uninterrupted):
    rows = [json.loads(line) for line in (uninterrupted / "metrics.jsonl").read_text().splitlines()]
    rows = [row for row in rows if "held_out_auroc" not in row]
    assert [row["step"] for row in rows] == list(range(2, STEPS + 1, 2))
    names = {"epoch", "seconds", "views_per_second", "total", "sample_to_sample", "sample_to_prototype"}
    names |= {"normal_to_abnormal", "gradient_norm", "learning_rate", "skipped_updates"}
    assert all(names <= set(row) for row in rows)


def drop_out(monkeypatch):
    """Give every network an encoder with dropout."""
    real = trainer_module.build_network

    def build(*arguments, **options):
        network = real(*arguments, **options)
        network.encoder = torch.nn.Sequential(network.encoder, torch.nn.Dropout(0.5))
        return network

    monkeypatch.setattr(trainer_module, "build_network", build)


def test_an_encoder_with_dropout_trains_and_resumes_bit_for_bit(digits, tmp_path, monkeypatch):
    drop_out(monkeypatch)
    _, whole = make(digits, tmp_path / "whole")
    whole.train()
    torch.rand(3)  # torch's generator is somewhere else
    run, stopped = make(digits, tmp_path / "stopped")
    monkeypatch.setattr(stopped.recorder, "advance", lambda step: step == 5 and signal.raise_signal(signal.SIGTERM))
    with pytest.raises(Interrupted):
        stopped.train()
    torch.rand(5)
    _, again = make(digits, tmp_path / "again")
    saved = load_checkpoint(run.checkpoint("last"), with_state=True)
    again.continue_from(saved.weights, saved.state, TrainingState(**saved.info))
    assert again.state.step < again.total_steps
    again.train()
    expected = whole.model.state_dict()
    assert all(torch.equal(tensor, expected[name]) for name, tensor in again.model.state_dict().items())


def test_training_leaves_torchs_generator_as_it_was(digits, tmp_path):
    state = torch.get_rng_state()
    make(digits, tmp_path / "run")[1].train()
    assert torch.equal(state, torch.get_rng_state())
