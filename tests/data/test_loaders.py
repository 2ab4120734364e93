"""The loaders give the same bits in the same order and leak nothing; the right one is chosen, with the reason."""

import itertools
import json
import os
import signal
import subprocess
import sys
import threading

import numpy as np
import pytest
import torch
from betons import beton_of, draw_folder
from conftest import TINY, flags, subprocess_environment

from hscl_fast.cli import main as cli
from hscl_fast.config.sections import DataConfig, RuntimeConfig
from hscl_fast.data.beton.ffcv_import import ffcv_is_installed
from hscl_fast.data.loaders import choose as loaders
from hscl_fast.data.loaders import memory
from hscl_fast.data.loaders.choose import choose_loader, is_held_in_memory, make_loader
from hscl_fast.data.loaders.order import Share
from hscl_fast.data.loaders.resident import ResidentLoader
from hscl_fast.data.loaders.workers import TorchLoader
from hscl_fast.data.open import in_memory, open_split
from hscl_fast.errors import UsageError
from hscl_fast.runs.directory import RunDirectory

CPU = torch.device("cpu")
BATCH = 8
needs_ffcv = pytest.mark.skipif(not ffcv_is_installed(), reason="FFCV is not installed (extra ffcv)")
KINDS = ["resident", pytest.param("ffcv", marks=needs_ffcv), "torch"]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return draw_folder(tmp_path_factory.mktemp("data") / "mine")


@pytest.fixture(scope="module", params=["raw", "jpeg"])
def split(request, folder, tmp_path_factory):
    """The split of a .beton of 20 training images."""
    if request.param == "jpeg" and not ffcv_is_installed():
        pytest.skip("FFCV is not installed (extra ffcv), and JPEGs are decoded by it")
    path = tmp_path_factory.mktemp("beton") / f"{request.param}.beton"
    return open_split(beton_of(folder, path, encoding=request.param))


def loader_of(split, kind, seed=5, workers=None):
    return make_loader(kind, split.training, RuntimeConfig(seed=seed, workers=workers), BATCH, CPU)


def as_lists(batches):
    return [(batch.images.tolist(), batch.roles.tolist(), batch.indices.tolist()) for batch in batches]


# --- the same batches ---


@pytest.mark.parametrize(("kind", "workers"), [("ffcv", 1), ("ffcv", 2), ("torch", 0), ("torch", 2)])
def test_all_loaders_give_the_batches_of_the_resident_one(split, kind, workers):
    if kind == "ffcv":
        pytest.importorskip("ffcv")
    whole = as_lists(loader_of(split, "resident").batches(0, 7))
    own = loader_of(split, kind, workers=workers)
    assert (own.steps_per_epoch, own.batch_size) == (2, BATCH)
    for first, last in ((0, 7), (3, 6), (5, 5)):
        assert as_lists(own.batches(first, last)) == whole[first:last]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("ranks", [2, 4])
def test_ranks_share_every_batch(split, kind, ranks):
    runtime = RuntimeConfig(seed=5, workers=1)
    shares = [
        make_loader(kind, split.training, runtime, BATCH, CPU, Share(rank, ranks)).batches(3, 6)
        for rank in range(ranks)
    ]
    whole = loader_of(split, "resident").batches(3, 6)
    for batch, *parts in zip(whole, *shares, strict=True):
        assert all(len(part.indices) == BATCH // ranks for part in parts)
        for ours, theirs in zip(zip(*parts, strict=True), batch, strict=True):
            assert torch.equal(torch.cat(ours), theirs)


def test_the_resident_loader_takes_images_that_are_not_in_memory(split):
    ours = ResidentLoader(split.training, BATCH, seed=5, device=CPU)
    theirs = ResidentLoader(in_memory(split).training, BATCH, seed=5, device=CPU)
    assert torch.equal(ours.images, theirs.images)


@pytest.mark.parametrize("kind", KINDS)
def test_a_set_smaller_than_a_batch_is_one_batch(split, kind):
    own = make_loader(kind, split.training, RuntimeConfig(), 500, CPU)
    (batch,) = own.batches(0, 1)
    assert sorted(batch.indices.tolist()) == list(range(len(split.training.roles)))


@pytest.mark.parametrize("kind", KINDS)
def test_a_batch_belongs_to_the_caller(split, kind):
    """FFCV recycles its buffers: a batch must not change when the loader goes on, nor the loader when a batch does."""
    own = loader_of(split, kind)
    whole = as_lists(own.batches(0, 12))
    kept = []
    for batch in own.batches(0, 12):
        kept.append(batch)
        if len(kept) > 1:
            kept[-2].images.zero_()
        assert as_lists(kept[-1:]) == whole[len(kept) - 1 : len(kept)]
    held = list(own.batches(0, 12))
    assert as_lists(held) == whole


@pytest.mark.gpu
@pytest.mark.parametrize("kind", KINDS)
def test_batches_on_a_gpu_are_those_on_the_cpu(split, kind):
    device = torch.device("cuda", 0)
    ours = make_loader(kind, split.training, RuntimeConfig(seed=5), BATCH, device).batches(0, 7)
    theirs = loader_of(split, "resident").batches(0, 7)
    for on_gpu, on_cpu in zip(ours, theirs, strict=True):
        assert on_gpu.images.device == device
        assert all(torch.equal(a.cpu(), b) for a, b in zip(on_gpu, on_cpu, strict=True))


# --- nothing leaks ---


@pytest.mark.slow
@needs_ffcv
def test_torch_keeps_its_number_of_threads(tmp_path):
    """FFCV sets it when first imported, when a loader is made and from its own thread, so this needs a new process."""
    script = """
import sys, time, torch
torch.set_num_threads(2)
from pathlib import Path
from hscl_fast.config.sections import DataConfig
from hscl_fast.data.beton.ffcv_import import import_ffcv
from hscl_fast.data.loaders.ffcv import BetonLoader
from hscl_fast.data.open import open_split
from hscl_fast.data.prepare import Preparation, prepare_beton
def same(): assert torch.get_num_threads() == 2, torch.get_num_threads()
import_ffcv(); same()
prepare_beton(DataConfig(), Preparation(Path(sys.argv[1])))
training = open_split(DataConfig(name=sys.argv[1])).training
state = torch.get_rng_state(), __import__("numpy").random.get_state()[1].tolist()
for workers in (1, 2):
    loader = BetonLoader(training, 32, seed=0, device=torch.device("cpu"), workers=workers); same()
    for batch in loader.batches(0, 6): same(); time.sleep(0.01); same()
assert torch.equal(state[0], torch.get_rng_state()) and state[1] == __import__("numpy").random.get_state()[1].tolist()
print("same")
"""
    done = subprocess.run(
        [sys.executable, "-c", script, str(tmp_path / "d.beton")],
        capture_output=True,
        text=True,
        env=subprocess_environment(),
        check=False,
    )
    assert done.stdout == "same\n", done.stderr


@pytest.mark.parametrize("kind", KINDS)
def test_no_global_generator_moves(split, kind):
    states = torch.get_rng_state(), np.random.get_state()[1].copy()  # noqa: NPY002
    list(loader_of(split, kind, workers=1).batches(0, 3))
    assert torch.equal(states[0], torch.get_rng_state())
    np.testing.assert_array_equal(states[1], np.random.get_state()[1])  # noqa: NPY002


@pytest.mark.parametrize("kind", ["ffcv", "torch"])
def test_an_abandoned_loader_ends_its_threads_and_processes(split, kind):
    if kind == "ffcv":
        pytest.importorskip("ffcv")
    import multiprocessing

    own = loader_of(split, kind, workers=2)
    list(own.batches(0, 2))
    before = set(threading.enumerate())
    for taken in (0, 1, 3):
        batches = own.batches(0, 1000)
        list(itertools.islice(batches, taken))
        batches.close()
        assert kind == "torch" or set(threading.enumerate()) <= before
        assert not multiprocessing.active_children()


@needs_ffcv
def test_a_dead_ffcv_thread_is_an_error_not_a_hang(split, monkeypatch):
    from ffcv.loader.epoch_iterator import EpochIterator

    def fail(*_):
        raise MemoryError("no room")

    own = loader_of(split, "ffcv")
    monkeypatch.setattr(EpochIterator, "run_pipeline", fail)
    with pytest.raises(UsageError, match=r"stopped giving images \(MemoryError: no room\)"):
        next(own.batches(0, 2))


@pytest.mark.parametrize("workers", [0, 2])
def test_a_file_that_turns_bad_is_named(tmp_path, workers):
    root = draw_folder(tmp_path / "mine", per_folder=4)
    split = open_split(DataConfig(name=str(root), held_out_ratio=0.0))
    own = TorchLoader(split.training, 4, seed=0, device=CPU, workers=workers)
    (root / "train/normal/2.png").write_text("no image")
    with pytest.raises(UsageError, match=r"train/normal/2\.png cannot be read as an image") as caught:
        list(own.batches(0, 3))
    assert "Traceback" not in str(caught.value)


# --- the choice of a loader ---


def chosen(split, **runtime):
    return choose_loader(DataConfig(name="mine dir", image_size=16), RuntimeConfig(**runtime), split, CPU)


def test_auto_takes_what_fits(split, digits):
    assert chosen(split) == ("resident", "0.1 MiB of images fit in memory")
    assert chosen(digits, resident_gib=0) == ("resident", "the images are already in memory")


def test_auto_falls_back_to_ffcv_and_then_to_torch(split, folder, monkeypatch):
    monkeypatch.setattr(loaders, "ffcv_is_installed", lambda: True)
    kind, reason = chosen(split, resident_gib=1e-6)
    assert kind == "ffcv"
    assert reason == "0.1 MiB of images exceed the budget of 0.0 MiB (--runtime.resident_gib)"
    monkeypatch.setattr(loaders, "ffcv_is_installed", lambda: False)
    kind, reason = chosen(split, resident_gib=1e-6)
    assert kind == "torch"
    assert "install FFCV: pip install 'hscl-fast[ffcv]'" in reason
    kind, reason = chosen(open_split(DataConfig(name=str(folder))), resident_gib=1e-6)
    assert kind == "torch"
    assert "hscl data prepare 'mine dir' --out 'mine dir.beton' --image_size 16" in reason


def test_the_budget_is_half_of_what_is_free(split, monkeypatch):
    nbytes = sum(part.images.nbytes for part in (split.training, split.held_out, split.test))
    for free, kind in ((2 * nbytes, "resident"), (2 * nbytes - 2, "torch")):
        monkeypatch.setattr(loaders, "free_memory", lambda device, free=free: free)
        monkeypatch.setattr(loaders, "ffcv_is_installed", lambda: False)
        assert chosen(split).kind == kind
        assert is_held_in_memory(RuntimeConfig(), split, CPU) == (kind == "resident")
    assert "half of the machine's free memory" in chosen(split).reason


def test_free_memory_respects_the_limit_of_the_container(tmp_path, monkeypatch):
    meminfo = tmp_path / "meminfo"
    meminfo.write_text("MemTotal: 900 kB\nMemAvailable:    500 kB\n")
    monkeypatch.setattr(memory, "_MEMINFO", meminfo)
    monkeypatch.setattr(memory, "_CGROUP", tmp_path)
    assert memory.free_memory(CPU) == 500 * 1024
    (tmp_path / "memory.max").write_text("100000\n")
    (tmp_path / "memory.current").write_text("40000\n")
    assert memory.free_memory(CPU) == 60_000
    (tmp_path / "memory.max").write_text("max\n")
    meminfo.unlink()
    assert memory.free_memory(CPU) == os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") // 2


def test_ffcv_needs_a_beton_and_names_the_command_that_makes_one(folder):
    split = open_split(DataConfig(name=str(folder)))
    with pytest.raises(UsageError, match=r"`hscl data prepare 'mine dir' --out 'mine dir\.beton' --image_size 16`"):
        chosen(split, loader="ffcv")


def test_a_missing_ffcv_is_an_error_with_advice(split, monkeypatch):
    from hscl_fast.data.beton import ffcv_import

    monkeypatch.setitem(sys.modules, "ffcv", None)
    ffcv_import.import_ffcv.cache_clear()
    with pytest.raises(UsageError, match=r"pip install 'hscl-fast\[ffcv\]'.*apt-get install.*--runtime.loader torch"):
        chosen(split, loader="ffcv")
    monkeypatch.undo()


@pytest.mark.parametrize("kind", ["resident", "torch"])
def test_an_explicit_loader_is_used(split, kind):
    assert chosen(split, loader=kind, resident_gib=0) == (kind, "as set by --runtime.loader")


def test_invalid_numbers_of_workers_are_refused():
    for loader, workers in (("torch", -1), ("ffcv", 0), ("auto", 1000)):
        with pytest.raises(UsageError, match=r"runtime\.workers"):
            RuntimeConfig(loader=loader, workers=workers)


# --- whole runs ---

RUN = {**TINY, "optim": {"epochs": 3, "batch_size": 32, "warmup_share": 0.3}}


def run_here(*arguments):
    """Run the command line in this process, which saves importing torch again."""
    return cli.run([str(argument) for argument in arguments])


def config_of(kind, **record):
    return flags({**RUN, "runtime": {**RUN["runtime"], "loader": kind}, "record": {**RUN["record"], **record}})


def losses(run):
    rows = RunDirectory(run).read_metrics()
    return [{name: value for name, value in row.items() if "second" not in name} for row in rows]


@pytest.fixture(scope="module")
def of_digits(tmp_path_factory):
    """A .beton of the digits, and a run on the digits themselves."""
    folder = tmp_path_factory.mktemp("runs")
    beton_of("digits", folder / "d.beton")
    assert run_here("train", "digits", "--out", folder / "plain", *config_of("auto")) == 0
    return folder


@pytest.mark.parametrize("kind", KINDS)
def test_a_run_has_the_same_losses_with_every_loader(of_digits, tmp_path, capsys, kind):
    run = tmp_path / kind
    assert run_here("train", of_digits / "d.beton", "--out", run, *config_of(kind)) == 0
    said = capsys.readouterr().out
    assert f"loader {kind}: as set by --runtime.loader" in said
    assert losses(run) == losses(of_digits / "plain")
    assert (run / "scores.csv").read_text() == (of_digits / "plain" / "scores.csv").read_text()
    summary = json.loads((run / "summary.json").read_text())
    measured = [row["auroc"] is not None for row in summary["baselines"].values()]
    assert measured == [kind == "resident"] * 3
    left_out = "Left out: they need all images in memory"
    assert (left_out in said) == (left_out in (run / "report.html").read_text()) == (kind != "resident")


@pytest.mark.slow
@needs_ffcv
def test_a_run_with_ffcv_stopped_within_an_epoch_resumes_bit_for_bit(of_digits, tmp_path):
    from test_trainer import wait_for_step

    run = tmp_path / "stopped"
    command = ["train", of_digits / "d.beton", "--out", run, *config_of("ffcv", checkpoint_every=1)]
    process = subprocess.Popen(
        [sys.executable, "-m", "hscl_fast", *map(str, command)],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        env=subprocess_environment(),
    )
    wait_for_step(run, 2, process)
    process.send_signal(signal.SIGTERM)
    output, _ = process.communicate(timeout=120)
    assert process.returncode == 143, output
    assert "Traceback" not in output
    assert run_here("train", "--out", run, "--resume") == 0
    assert losses(run) == losses(of_digits / "plain")
    assert (run / "scores.csv").read_text() == (of_digits / "plain" / "scores.csv").read_text()


@pytest.mark.slow
@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_signal_to_all_processes_of_a_torch_run_lets_it_save(folder, tmp_path, number, code):
    from test_trainer import wait_for_step

    run = tmp_path / "run"
    options = {**TINY, "optim": {"epochs": 1000, "batch_size": 8}}
    options["runtime"] = {**TINY["runtime"], "loader": "torch", "workers": 2}
    options["record"] = {**TINY["record"], "log_every": 1}
    process = subprocess.Popen(
        [sys.executable, "-m", "hscl_fast", "train", str(folder), "--out", str(run), *flags(options)],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
        env=subprocess_environment(),
    )
    wait_for_step(run, 3, process)
    os.killpg(process.pid, number)
    output, _ = process.communicate(timeout=60)
    assert process.returncode == code, output
    assert "everything is saved" in output
    assert "Traceback" not in output


def test_a_folder_too_large_for_memory_is_trained_from_its_files(folder, tmp_path, capsys):
    options = {"optim": {"epochs": 1, "batch_size": 8}}
    options["runtime"] = {**TINY["runtime"], "resident_gib": 0, "workers": 1}
    assert run_here("train", folder, "--out", tmp_path / "run", *flags({**TINY, **options})) == 0
    assert "loader torch: 0.1 MiB of images exceed the budget" in capsys.readouterr().out
    assert run_here("eval", tmp_path / "run", "--overwrite") == 0
    assert "Left out" in capsys.readouterr().out
