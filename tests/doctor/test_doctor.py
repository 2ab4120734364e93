"""``hscl doctor``: what it finds, what it says and how it exits."""

import json
import time

import pytest
import timm
import torch
from hscl_kernels import selfcheck
from hscl_kernels.selfcheck import Finding, Value
from rich.console import Console
from safetensors.torch import save_file

from hscl_fast.cli import main as cli
from hscl_fast.config.sections import DataConfig
from hscl_fast.data.open import load_split
from hscl_fast.doctor import estimate, examine, machine
from hscl_fast.doctor.outcome import Outcome, attempt
from hscl_fast.doctor.show import show_estimate
from hscl_fast.training import trainer

CPU = torch.device("cpu")
ENCODER = "test_byobnet"  # timm's smallest convolutional network
QUICK = ("--model.width=16", "--model.embedding_dim=16", "--optim.batch_size=8", "--optim.max_steps=7")


def run(*arguments, capsys):
    code = cli.run(["doctor", "--device", "cpu", *map(str, arguments)])
    captured = capsys.readouterr()
    return code, captured.out, captured.err


@pytest.fixture
def few_checks(monkeypatch):
    """One form and the quick checks of the machine; the others have tests of their own."""

    def check_device(device, announce):
        announce("one form")
        yield selfcheck.check_form("prototype_similarity", "cpu", torch.float32, device, {})

    monkeypatch.setattr(examine, "check_device", check_device)
    monkeypatch.setattr(examine, "check_machine", lambda device: [machine.check_precisions(device)])


def test_a_machine_without_faults(few_checks, capsys):
    code, said, _ = run(capsys=capsys)
    assert code == 0, said
    for words in ("torch ", "triton", "GiB free", "prototype_similarity", "precisions", "pass"):
        assert words in said
    assert ("triton cannot run here" in said) == ("triton" in examine.missing_backends(CPU))
    assert "everything works on cpu" in said
    assert "estimate" not in said


def test_json_is_whole(few_checks, capsys):
    code, said, _ = run("--json", capsys=capsys)
    assert code == 0
    found = json.loads(said)
    assert set(found) == {
        *("passed", "failed", "versions", "cpu", "gpus", "device", "kernels", "not_here", "machine", "estimate"),
    }
    assert found["passed"]
    assert found["estimate"] is None
    assert {"hscl_fast", "commit", "python", "torch", "triton", "ffcv", "numba", "cuDNN"} <= set(found["versions"])
    (form,) = found["kernels"]
    assert form["passed"]
    assert {value["name"] for value in form["values"]} == {"similarity", "index", "d/dembeddings", "d/dprototypes"}
    assert form["milliseconds"] > 0


@pytest.mark.parametrize("as_json", [False, True])
def test_failures_are_named_with_their_fix(few_checks, monkeypatch, capsys, as_json):
    wrong = Finding("info_nce", "cpu", "float32", (Value("loss", "raw", float("nan"), 0.0, 1.0),), None, None, ("bad",))
    monkeypatch.setattr(examine, "check_device", lambda device, announce: [wrong])
    monkeypatch.setattr(examine, "check_machine", lambda device: [Outcome("FFCV", "FAIL", "broken", "Install it.")])
    code, said, _ = run(*["--json"] * as_json, capsys=capsys)
    assert code == 1
    if as_json:
        assert json.loads(said)["failed"] == ["info_nce, cpu, float32", "FFCV"]
        return
    assert "FAIL info_nce, cpu, float32: bad" in said
    last = said.strip().splitlines()[-1]
    assert last.startswith("FAILED on cpu: info_nce, cpu, float32; FFCV.")
    assert "--objective.backend reference" in last
    assert "Install it." in last


def test_an_estimate(few_checks, capsys):
    code, said, _ = run("digits", *QUICK, "--json", capsys=capsys)
    assert code == 0
    found = json.loads(said)["estimate"]
    for name in ("parameters", "seconds_per_step", "steps_measured", "training_images", "total_seconds"):
        assert found[name] > 0, name
    assert found["extra_bytes"] is None or found["extra_bytes"] > 0
    assert (found["batch_size"], found["rows"], found["image_size"], found["total_steps"]) == (8, 32, 8, 7)
    assert found["total_seconds"] == pytest.approx(7 * found["seconds_per_step"])
    assert found["loader"].startswith("resident")


@pytest.fixture
def weights(tmp_path):
    path = tmp_path / "weights.safetensors"
    save_file(timm.create_model(ENCODER).state_dict(), path)
    return path


def test_a_frozen_run_is_one_pass_of_each_image_and_cheap_steps(few_checks, weights, monkeypatch, capsys):
    monkeypatch.setattr(trainer, "require_whole_image", lambda *arguments: None)
    monkeypatch.setattr(estimate, "resolve_image_size", lambda data, model: 16)  # that of the weights is 256
    flags = (f"--model.encoder={ENCODER}", f"--model.weights={weights}", "--optim.batch_size=8", "--optim.max_steps=7")
    code, said, _ = run("digits", "--recipe", "frozen", *flags, "--json", capsys=capsys)
    assert code == 0, said
    found = json.loads(said)["estimate"]
    split = load_split(DataConfig(name="digits", image_size=16))
    assert found["encoded_views"] == len(split.training.images) + len(split.held_out.images)
    assert (found["image_size"], found["rows"], found["loader"]) == (16, 16, None)
    encoding = found["encoded_views"] * found["seconds_per_view"]
    assert found["total_seconds"] == pytest.approx(encoding + 7 * found["seconds_per_step"])
    assert encoding > 0


def test_a_frozen_estimate_is_shown(capsys):
    found = estimate.Estimate(
        *("digits", "a_net", 1000, "float32", 16, 8, 16, 5, 0.001, None, 0.01, 900, 800, 7, 9.007, None)
    )
    show_estimate(Console(), found)
    said = capsys.readouterr().out
    for words in ("16 rows of cached features", "900 of 16 px, once: 9 s", "the encoded views and 7 steps"):
        assert words in said
    assert "views/s" not in said


def test_the_estimate_leaves_out_the_time_of_compiling(few_checks, monkeypatch, capsys):
    def slow_at_first(function, **options):
        calls = []

        def run(*batch):
            calls or time.sleep(2)
            calls.append(function(*batch))

        return run

    monkeypatch.setattr(torch, "compile", slow_at_first)
    monkeypatch.setattr(estimate, "_PATIENCE", 1.9)
    code, said, _ = run("digits", *QUICK, "--runtime.compile=default", "--json", capsys=capsys)
    assert code == 0
    found = json.loads(said)["estimate"]
    assert found["steps_measured"] > 1
    assert found["seconds_per_step"] < 2


def test_an_estimate_without_the_data_says_what_it_assumes(few_checks, tmp_path, capsys):
    config = tmp_path / "config.yaml"
    config.write_text("data: {name: /gone/away, image_size: 8}\n")
    code, said, _ = run("--config", config, *QUICK, capsys=capsys)
    assert code == 0, said
    assert "images of 8 px, assumed: /gone/away cannot be opened here" in said
    assert "for 7 steps" in said


def test_too_little_memory_is_a_failure_with_its_fix(few_checks, monkeypatch, capsys):
    def exhausted(*arguments):
        raise torch.OutOfMemoryError("CUDA out of memory")

    monkeypatch.setattr(estimate, "_measure", exhausted)
    code, said, _ = run("digits", *QUICK, capsys=capsys)
    assert code == 1
    assert "does not fit in the memory of cpu" in said
    assert "Lower --optim.batch_size (to 4, say)" in said


@pytest.mark.parametrize(
    ("arguments", "match"),
    [
        (["--device", "gpu"], "--device is 'gpu'"),
        (["--device", "cuda:7"], "--device is 'cuda:7'"),
        (["--nothing"], "--nothing"),
        (["--resume"], "--resume"),
        (["--recipe", "slow"], "paper, released"),
        (["--model.width", "3"], "model.width"),
        (["--model.encoder", "resnet_18"], "timm"),
        (["/gone/away"], "/gone/away"),
    ],
)
def test_wrong_flags(few_checks, capsys, arguments, match):
    code, said, error = run(*arguments, capsys=capsys)
    assert code == 2
    assert not said
    assert match in error
    assert error.startswith("hscl: error: ")


def test_a_broken_file_of_tuned_tiles_is_reported(few_checks, monkeypatch, tmp_path, capsys):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    (tmp_path / "hscl_kernels").mkdir()
    (tmp_path / "hscl_kernels" / "tiles.json").write_text('{"card": {"forward": "wide"}}')
    code, said, _ = run(capsys=capsys)
    assert code == 0  # nothing on a CPU reads it
    assert "tuned tiles" in said
    assert "Delete that file." in said


def test_training_and_its_checkpoint():
    assert machine.check_training(CPU).status == "pass"


def test_a_checkpoint_that_reads_back_differently_is_found(monkeypatch):
    real, calls = machine.load_checkpoint, []

    def damaged(*arguments, **options):
        checkpoint = real(*arguments, **options)
        checkpoint.weights["prototypes"] += len(calls)
        calls.append(1)
        return checkpoint

    monkeypatch.setattr(machine, "load_checkpoint", damaged)
    found = attempt("training", lambda: machine.check_training(CPU), "")
    assert found.status == "FAIL"
    assert "prototypes" in found.detail


def test_ffcv_reads_back_what_was_written():
    pytest.importorskip("ffcv")
    assert machine.check_ffcv(CPU).status == "pass"


def test_ffcv_may_be_missing(monkeypatch):
    monkeypatch.setattr(machine, "ffcv_is_installed", lambda: False)
    found = machine.check_ffcv(CPU)
    assert found.status == "not here"
    assert "pip install" in found.fix


@pytest.mark.slow  # it compiles C++
def test_torch_compile():
    assert machine.check_compile(CPU).status == "pass"


def test_the_compiled_step(monkeypatch):
    """Traced as on a GPU; then the graph runs eagerly, in seconds rather than a minute."""
    assert machine.check_compiled_step(CPU).status == "not here"
    compile, off_by = torch.compile, []

    def traced(function, *, mode, **options):
        compiled = compile(function, backend="aot_eager", **options)

        def run(*batch):
            compiled(*batch)
            for change in off_by:
                function.__self__.sums += change

        return run

    monkeypatch.setattr(torch, "compile", traced)
    monkeypatch.setattr(machine, "resolve_mode", lambda mode, device: "default")
    found = machine.check_compiled_step(CPU)
    assert found.status == "pass"
    assert "of the eager ones" in found.detail
    off_by.append(0.1)
    found = attempt("compiled step", lambda: machine.check_compiled_step(CPU), "")
    assert found.status == "FAIL"
    assert "differ from the eager step's" in found.detail


def test_a_missing_compiler_is_a_warning(monkeypatch):
    def no_compiler(function, **options):
        raise RuntimeError("InvalidCxxCompiler: No working C++ compiler found in torch._inductor.config.cpp.cxx")

    monkeypatch.setattr(torch, "compile", no_compiler)
    found = machine.check_compile(CPU)
    assert found.status == "warning"
    assert "g++" in found.fix
