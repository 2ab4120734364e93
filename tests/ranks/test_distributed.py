"""Several ranks train like one process, stop together, and end with an error when one of them is lost."""

import copy
import functools
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from conftest import TINY, flags, subprocess_environment, tiny_config
from light_reports import make_reports_light
from spawn_ranks import assert_equal_on_all, spawn
from test_step import NoSynchronisation
from test_trainer import wait_for_step, weights

from hscl_fast.cli import main as cli
from hscl_fast.cli import train
from hscl_fast.config.sections import AugmentConfig
from hscl_fast.data.loaders.order import Share
from hscl_fast.data.loaders.resident import ResidentLoader
from hscl_fast.data.open import load_split
from hscl_fast.device import Execution, resolve_device
from hscl_fast.errors import FailedElsewhere, UsageError
from hscl_fast.method.network import build_network
from hscl_fast.ranks.group import SINGLE, start_ranks
from hscl_fast.runs.directory import RunDirectory
from hscl_fast.training.step import TrainingStep

CPU = torch.device("cpu")


# --- the step ---


def without_batch_statistics(model):
    for module in model.modules():
        for name, child in module.named_children():
            if isinstance(child, torch.nn.BatchNorm2d):
                setattr(module, name, torch.nn.GroupNorm(4, child.num_features))
    return model


def make(config, split, ranks, *, groups=False, compile="off"):
    model = build_network(config.model, 8, rotation_head=config.objective.shift_loss, seed=0)
    if groups:
        without_batch_statistics(model)
    share = Share(ranks.rank, ranks.size)
    loader = ResidentLoader(split.training, config.optim.batch_size, seed=0, device=CPU, share=share)
    return loader, TrainingStep(config, model, Execution(CPU, compile=compile), total_steps=40, ranks=ranks)


def gradients(step, batch):
    losses = step.losses(batch)
    losses[0].backward()
    found = {name: parameter.grad.clone() for name, parameter in step.model.named_parameters()}
    step.model.zero_grad(set_to_none=True)
    return losses.detach(), found


def check_steps():
    config = tiny_config(objective={"shift_loss": True}, optim={"batch_size": 16})
    split = load_split(config.data)
    with start_ranks(config) as ranks:
        for groups, rotations in ((True, 2), (False, 4)):
            turned = replace(config, augment=AugmentConfig(rotations=rotations))
            check_gradients(turned, split, ranks, groups=groups)
            check_rows(turned, split, ranks, groups=groups)
        for part in ("normals", "anomalies"):
            check_gradients(tiny_config(objective={"prototype_parts": part}), split, ranks, groups=True)
        check_skipping(config, split, ranks)
        check_resuming(tiny_config(optim={"batch_size": 16}), split, ranks)
        check_errors(ranks)


def check_gradients(config, split, ranks, **options):
    (whole_loader, whole), (loader, step) = (make(config, split, who, **options) for who in (SINGLE, ranks))
    theirs, wanted = gradients(whole, next(whole_loader.batches(3, 4)))
    losses, found = gradients(step, next(loader.batches(3, 4)))
    torch.testing.assert_close(losses[1:4], theirs[1:4], rtol=1e-5, atol=1e-6)
    ranks.average(losses)
    torch.testing.assert_close(losses, theirs, rtol=1e-5, atol=1e-6)
    assert_equal_on_all(found.values(), ranks)
    for name, gradient in wanted.items():
        # The gradient of a bias ahead of a normalisation is rounding error only, hence the absolute part of the bound.
        bound = 1e-5 * float(gradient.abs().max()) + 1e-6
        torch.testing.assert_close(found[name], gradient, rtol=0, atol=bound, msg=lambda text, n=name: f"{n}: {text}")


def check_rows(config, split, ranks, **options):
    (whole_loader, whole), (loader, step) = (make(config, split, who, **options) for who in (SINGLE, ranks))
    for batch, share in zip(whole_loader.batches(0, 3), loader.batches(0, 3), strict=True):
        whole(batch)
        step(share)
    row = step.read_metrics()
    assert row == pytest.approx(whole.read_metrics(), rel=1e-3)
    assert_equal_on_all([torch.tensor(list(row.values()), dtype=torch.float64)], ranks)
    assert_equal_on_all(step.model.state_dict().values(), ranks)
    with NoSynchronisation():
        step(next(loader.batches(3, 4)))


def check_skipping(config, split, ranks):
    loader, step = make(config, split, ranks)
    before = copy.deepcopy(step.model.state_dict())
    real = step.forward

    def broken(views, spoil):
        features = real(views)
        return spoil(features) if ranks.rank == 1 else features

    def not_a_number(features):
        return features._replace(embeddings=features.embeddings * torch.nan)

    def infinite_loss_with_finite_gradient(features):
        size = len(features.rotation_logits) // 8
        right = torch.arange(4).repeat_interleave(size).repeat(2)
        wrong = torch.full((8 * size, 4), 3e38).scatter(1, right[:, None], -3e38)
        return features._replace(rotation_logits=wrong + 0 * features.rotation_logits)

    batches = loader.batches(0, 10)
    for count, spoil in enumerate((not_a_number, infinite_loss_with_finite_gradient), start=1):
        step.forward = lambda views, spoil=spoil: broken(views, spoil)
        step(next(batches))
        assert step.guard.skipped.item() == count
    step.forward = real
    step.guard.scaled = True
    step.guard.scale.fill_(3e38)
    step(next(batches))
    assert (step.guard.skipped.item(), step.guard.scale.item()) == (3, pytest.approx(1.5e38))
    assert all(torch.equal(before[name], tensor) for name, tensor in step.model.state_dict().items())
    step.guard.scale.fill_(1.0)
    step(next(batches))
    assert step.guard.skipped_in_a_row.item() == 0


def check_resuming(config, split, ranks):
    loader, step = make(config, split, ranks)
    for batch in loader.batches(0, 2):
        step(batch)
    saved = copy.deepcopy((step.model.state_dict(), step.state_dict()))
    _, again = make(config, split, ranks)
    again.model.load_state_dict(saved[0])
    again.load_state_dict(saved[1])
    for one in (step, again):
        for batch in loader.batches(2, 4):
            one(batch)
    theirs = again.model.state_dict()
    assert all(torch.equal(tensor, theirs[name]) for name, tensor in step.model.state_dict().items())


def fail_unless_first(ranks):
    if not ranks.is_first:
        raise UsageError("bad file")


def check_errors(ranks):
    with pytest.raises(UsageError if ranks.rank == 1 else FailedElsewhere), ranks.together():
        fail_unless_first(ranks)
    with pytest.raises(UsageError, match=f"different steps, 0 to {ranks.size - 1}"):
        ranks.require_same_step(ranks.rank)
    ranks.require_same_step(7)


@pytest.mark.parametrize("ranks", [2, 4])
def test_ranks_train_as_one_process(ranks):
    spawn(check_steps, ranks)


def check_compiled():
    """The step is one graph, it computes what the eager step does, and all ranks skip a bad update."""
    config = tiny_config(objective={"shift_loss": True}, optim={"batch_size": 16})
    split = load_split(config.data)
    compile = torch.compile
    torch.compile = lambda function, *, mode, **options: compile(function, backend="aot_eager", **options)
    with start_ranks(config) as ranks:
        (loader, step), (_, eager) = (make(config, split, ranks, compile=mode) for mode in ("default", "off"))
        for batch in loader.batches(0, 3):
            step(batch)
            eager(batch)
            torch._dynamo.config.error_on_recompile = True  # from the second step on
            assert step.read_metrics() == pytest.approx(eager.read_metrics(), rel=1e-4)
        for name, tensor in eager.model.state_dict().items():
            torch.testing.assert_close(step.model.state_dict()[name], tensor, rtol=1e-3, atol=1e-5)
        assert_equal_on_all(step.model.state_dict().values(), ranks)
        assert torch._dynamo.utils.counters["stats"]["unique_graphs"] == 1
        assert not torch._dynamo.utils.counters["graph_break"]
        before = copy.deepcopy(step.model.state_dict())
        if ranks.rank == 1:
            before["prototypes"] = step.model.prototypes.data.fill_(torch.nan).clone()
        step(next(loader.batches(3, 4)))
        assert step.guard.skipped.item() == 1
        for name, tensor in step.model.state_dict().items():
            torch.testing.assert_close(tensor, before[name], rtol=0, atol=0, equal_nan=True)


@pytest.mark.slow
def test_ranks_compile_the_whole_step():
    spawn(check_compiled, 2)


def wait_for_another(options, console):
    """A command whose second rank hangs."""
    began = time.monotonic()
    try:
        with start_ranks(tiny_config(runtime={"timeout_minutes": 0.05})) as ranks:
            if not ranks.is_first:
                time.sleep(60)
            ranks.average(torch.zeros(1))
    finally:
        assert time.monotonic() - began < 9


def leave_one_waiting():
    train.run = wait_for_another
    cli.main(["train", "digits"])


def test_a_hanging_rank_ends_the_run_after_the_timeout(capfd):
    with pytest.raises(torch.multiprocessing.ProcessExitedException) as first:
        spawn(leave_one_waiting, 2)
    assert (first.value.error_index, first.value.exit_code) == (0, 2)
    lost = r"Rank 0 of 2 lost another rank.*--runtime\.timeout_minutes \(Timed out waiting 3000ms.*--resume"
    assert re.search(lost, capfd.readouterr().err)


def test_a_failing_rank_ends_at_once():
    command = "import atexit, sys, hscl_fast.cli.main as c; atexit.register(print, 'torn down'); c.main(sys.argv[1:])"

    def train_wrongly(**variables):
        return subprocess.run(
            [sys.executable, "-c", command, "train", "digits", "--no_such_flag"],  # refused before torch is imported
            capture_output=True,
            text=True,
            env={**subprocess_environment(), **variables},
            check=False,
        )

    alone, rank = train_wrongly(), train_wrongly(RANK="0", WORLD_SIZE="1", LOCAL_RANK="0")
    assert (alone.returncode, rank.returncode) == (2, 2)
    assert alone.stderr == rank.stderr != ""
    assert (alone.stdout, rank.stdout) == ("torn down\n", "")


def test_a_rank_that_is_done_ends_before_the_interpreter_shuts_down():
    command = (
        "import atexit, os, sys, hscl_fast.cli.main as c\n"
        "class Kept:\n"
        "    def __del__(self, write=os.write):\n"
        "        write(1, b'shut down\\n')\n"
        "sys.kept = Kept()\n"  # one of the last modules to be cleared, whether or not it is garbage
        "atexit.register(print, 'torn down')\n"
        "c.main(['data', 'list'])\n"
    )

    def list_data(**variables):
        environment = {**subprocess_environment(), **variables}
        return subprocess.run([sys.executable, "-c", command], capture_output=True, text=True, env=environment)

    alone, rank = list_data(), list_data(RANK="0", WORLD_SIZE="1", LOCAL_RANK="0")
    assert (alone.returncode, rank.returncode) == (0, 0)
    assert alone.stdout == rank.stdout + "shut down\n"
    assert rank.stdout.endswith("torn down\n")


# --- what is refused ---


def under_torchrun(monkeypatch, rank, size=2):
    for name, value in (("RANK", rank), ("WORLD_SIZE", size), ("LOCAL_RANK", rank)):
        monkeypatch.setenv(name, str(value))


@pytest.mark.parametrize("arguments", [["eval", "r"], ["predict", "r", "a.png", "--out", "b.csv"], ["data", "list"]])
def test_only_train_uses_ranks(monkeypatch, capsys, arguments):
    for rank in (0, 1):
        under_torchrun(monkeypatch, rank)
        assert cli.run(arguments) == 2
        reported = "only `hscl train` uses ranks" in capsys.readouterr().err
        assert reported == (rank == 0)
    under_torchrun(monkeypatch, 0, size=1)
    assert cli.run(["data", "list"]) == 0


@pytest.mark.parametrize(
    ("sections", "match"),
    [
        ({"objective": {"name": "released", "rotated_roles": "inherit"}}, r"objective.name is 'released'.*Give paper"),
        ({"objective": {"backend": "reference"}}, r"backend is 'reference'.*Give auto"),
        ({"runtime": {"device": "cuda:1"}}, r"device is 'cuda:1'.*Give cuda or auto"),
    ],
)
def test_settings_that_ranks_do_not_support_are_refused(monkeypatch, sections, match):
    for rank in (0, 1):
        under_torchrun(monkeypatch, rank)
        refusal = pytest.raises(FailedElsewhere) if rank else pytest.raises(UsageError, match=match)
        with refusal, start_ranks(tiny_config(**sections)):
            pass


def test_invalid_rank_variables_are_refused(monkeypatch):
    under_torchrun(monkeypatch, 2)
    with (
        pytest.raises(UsageError, match=r"'2', '2', '2', but must be numbers with RANK below WORLD_SIZE"),
        start_ranks(tiny_config()),
    ):
        pass


def test_a_rank_without_a_gpu_is_refused(monkeypatch):
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    assert resolve_device("auto", 1) == torch.device("cuda", 1)
    with pytest.raises(UsageError, match=r"Rank 3 of this machine needs cuda:3.*has 2 CUDA device.*Start 2 ranks"):
        resolve_device("cuda", 3)


def test_a_batch_that_cannot_be_shared_is_refused(digits):
    with pytest.raises(UsageError, match=r"A batch has 33 images, which 4 ranks.*--optim\.batch_size 32"):
        ResidentLoader(digits.training, 33, seed=0, device=CPU, share=Share(0, 4))
    count = len(digits.training.roles)
    with pytest.raises(
        UsageError, match=rf"A batch has {count} images \(the whole training set.*--optim\.batch_size 132"
    ):
        ResidentLoader(digits.training, 500, seed=0, device=CPU, share=Share(0, 2))


# --- whole runs ---

STEPS = 24
RUN = {
    **TINY,
    "optim": {"epochs": 100, "max_steps": STEPS, "batch_size": 32, "warmup_share": 0.1},
    "record": {**TINY["record"], "checkpoint_every": 4},
}


def train_on_two_ranks(*arguments):
    """``hscl train`` on two forked ranks; return what they printed."""
    return spawn(functools.partial(train_here, [*map(str, arguments)]), 2)


def train_here(arguments):
    make_reports_light(pytest.MonkeyPatch())
    cli.main(["train", *arguments])


def start_torchrun(*arguments):
    command = [Path(sys.executable).with_name("torchrun"), "--nproc-per-node=2", "--standalone"]
    return subprocess.Popen(
        [*map(str, command), "-m", "hscl_fast", "train", *map(str, arguments)],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        env=subprocess_environment(),
    )


def worker(process, rank):
    """The process id of a rank."""
    for child in Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split():
        if f"\0RANK={rank}\0" in Path(f"/proc/{child}/environ").read_text():
            return int(child)
    raise AssertionError("no such rank")


def finish(process):
    output, _ = process.communicate(timeout=180)
    return output


@pytest.fixture(scope="module")
def uninterrupted(tmp_path_factory):
    run = tmp_path_factory.mktemp("ranks") / "whole"
    output = train_on_two_ranks("digits", "--out", run, *flags(RUN))
    assert "on each of 2 ranks" in output
    assert output.count("AUROC, mean") == 1
    return run


def losses(run):
    return [{k: v for k, v in row.items() if "second" not in k} for row in RunDirectory(run).read_metrics()]


@pytest.mark.slow
def test_stopped_then_killed_ranks_resume_bit_for_bit(uninterrupted, tmp_path, capsys):
    run = tmp_path / "run"
    process = start_torchrun("digits", "--out", run, *flags(RUN))
    wait_for_step(run, 4, process)
    process.send_signal(signal.SIGTERM)
    output = finish(process)
    step = weights(run).info["step"]
    assert f"stopped by SIGTERM at step {step} of {STEPS}; everything is saved" in output
    assert output.count("everything is saved") == 1
    assert 4 <= step < STEPS
    shutil.copytree(run, tmp_path / "alone")

    process = start_torchrun("--out", run, "--resume")
    wait_for_step(run, step + 4, process)
    os.kill(worker(process, 1), signal.SIGKILL)
    output = finish(process)
    assert process.returncode == 1, output
    assert f"from step {step} to step {STEPS}" in output
    assert "Rank 0 of 2 lost another rank" in output
    assert "continue from the last checkpoint with --resume" in output

    train_on_two_ranks("--out", run, "--resume")
    ours, theirs = weights(run), weights(uninterrupted)
    assert ours.info["step"] == STEPS
    assert all(torch.equal(ours.weights[name], tensor) for name, tensor in theirs.weights.items())
    assert losses(run) == losses(uninterrupted)
    assert (run / "scores.csv").read_text() == (uninterrupted / "scores.csv").read_text()

    assert cli.run(["train", "--out", str(tmp_path / "alone"), "--resume"]) == 0
    assert f"from step {step} to step {STEPS}" in capsys.readouterr().out
    assert losses(tmp_path / "alone")[: step // 2] == losses(uninterrupted)[: step // 2]


def test_an_error_of_the_first_rank_ends_all_and_is_printed_once(uninterrupted, capfd):
    with pytest.raises(torch.multiprocessing.ProcessExitedException) as first:
        train_on_two_ranks("digits", "--out", uninterrupted, *flags(RUN))
    assert first.value.exit_code == 2
    output = capfd.readouterr().err
    assert output.count("hscl: error:") == 1
    assert "already exists" in output
