"""The self-check of the kernels: sound forms pass, broken ones are found and named, and the check goes on."""

import json

import interpreter  # noqa: F401 (makes the interpreter faster)
import pytest
import torch
from hscl_kernels import launch
from hscl_kernels.backends import HAS_TRITON, INTERPRETED
from hscl_kernels.prototypes import cpu
from hscl_kernels.selfcheck import OPERATIONS, __main__, check, check_device, check_form, problems, tuned_error

CPU = torch.device("cpu")
needs_interpreter = pytest.mark.skipif(not (HAS_TRITON and INTERPRETED), reason="needs Triton's interpreter")


@pytest.fixture(autouse=True)
def quick(monkeypatch):
    """Shrink the training step's batch, so that it takes no time."""
    for name, value in {"ROWS": 64, "FEATURES": 16, "IMAGES": 8, "SIDE": 8}.items():
        monkeypatch.setattr(problems, f"TRAINING_{name}", value)
    monkeypatch.setattr(check, "milliseconds", lambda work, device: work() and 1.0)


@pytest.fixture
def without_triton(monkeypatch):
    """Leave out the Triton forms, as on a machine with neither a GPU nor the interpreter."""
    forms = [form for form in check.forms_of(CPU) if form[0] != "triton"]
    monkeypatch.setattr(check, "forms_of", lambda device: forms)


def test_every_form_of_the_cpu_passes(without_triton):
    findings = list(check_device(CPU))
    assert not [finding.problems for finding in findings if not finding.passed]
    assert {finding.operation for finding in findings} == set(OPERATIONS)
    assert {(some.backend, some.dtype) for some in findings} == {
        ("reference", "float32"),
        *(("cpu", dtype) for dtype in ("float32", "float16", "bfloat16", "float64")),
    }
    gradients = {value.name for some in findings for value in some.values if value.is_gradient}
    assert gradients == {"d/dembeddings", "d/dprototypes"}


@needs_interpreter
@pytest.mark.parametrize("operation", OPERATIONS)
def test_the_triton_forms_pass_in_the_interpreter(monkeypatch, operation):
    monkeypatch.setattr(problems, "VIEW_CASES", {"8 px": (8, 8, 3)})
    monkeypatch.setattr(problems, "SMALL_CASES", ("raw rows", "temperature 0.02", "8 px"))
    monkeypatch.setattr(launch, "VIEW_BLOCK", 64)
    finding = check_form(operation, "triton", torch.float32, CPU, {})
    assert finding.passed, finding.problems
    assert finding.milliseconds is None


@pytest.mark.gpu
def test_every_form_of_the_gpu_passes():
    findings = list(check_device(torch.device("cuda", 0)))
    assert {some.backend for some in findings} == {"reference", "triton"}
    assert not [finding.problems for finding in findings if not finding.passed]


def test_a_wrong_value_is_found_and_named(monkeypatch):
    real = cpu.similarity_forward

    def wrong(*arguments):
        similarity, *rest = real(*arguments)
        return similarity * (1 + 1e-5), *rest

    monkeypatch.setattr(cpu, "similarity_forward", wrong)
    finding = check_form("prototype_similarity", "cpu", torch.float32, CPU, {})
    assert not finding.passed
    assert finding.name == "prototype_similarity, cpu, float32"
    assert finding.worst(gradients=False).name == "similarity"
    assert finding.worst(gradients=True).share < 1
    assert "similarity is wrong by" in finding.problems[0]


@pytest.mark.parametrize("which", [0, 1])
def test_a_wrong_gradient_is_found_and_named(monkeypatch, which):
    real = cpu.similarity_backward

    def wrong(*arguments):
        gradients = list(real(*arguments))
        gradients[which] = gradients[which].clone()
        gradients[which][0] = float("nan")
        return tuple(gradients)

    monkeypatch.setattr(cpu, "similarity_backward", wrong)
    finding = check_form("prototype_similarity", "cpu", torch.float32, CPU, {})
    assert not finding.passed
    assert finding.worst(gradients=True).name == ("d/dembeddings", "d/dprototypes")[which]


def test_a_tie_that_goes_to_a_later_prototype_is_found(monkeypatch):
    real = cpu.similarity_forward

    def later(embeddings, prototypes):
        similarity, index, *rest = real(embeddings, prototypes)
        return similarity, torch.where(index == 0, 1, index) if len(prototypes) == 6 else index, *rest

    monkeypatch.setattr(cpu, "similarity_forward", later)
    finding = check_form("prototype_similarity", "cpu", torch.float32, CPU, {})
    assert any("index" in problem and "tied prototypes" in problem for problem in finding.problems)


def test_a_form_that_gives_other_bits_every_call_is_found(monkeypatch):
    real, calls = cpu.similarity_forward, []

    def unsteady(*arguments):
        calls.append(1)
        similarity, *rest = real(*arguments)
        return similarity + 1e-7 * (len(calls) % 2), *rest

    monkeypatch.setattr(cpu, "similarity_forward", unsteady)
    finding = check_form("prototype_similarity", "cpu", torch.float32, CPU, {})
    assert any("two calls differ in similarity" in problem for problem in finding.problems)


def test_a_form_that_raises_does_not_stop_the_rest(monkeypatch, without_triton):
    def broken(*arguments):
        raise RuntimeError("no kernel image is available")

    monkeypatch.setattr(cpu, "similarity_forward", broken)
    monkeypatch.setattr(check, "OPERATIONS", ("prototype_similarity", "augment_views"))
    findings = list(check_device(CPU))
    failed = {(some.operation, some.backend) for some in findings if not some.passed}
    assert failed == {("prototype_similarity", "cpu")}
    assert findings[-1].operation == "augment_views"
    assert "no kernel image is available" in next(some for some in findings if not some.passed).problems[0]


def test_the_command_fails_when_a_form_does(monkeypatch, without_triton, capsys):
    monkeypatch.setattr(cpu, "similarity_forward", lambda *arguments: 1 / 0)
    monkeypatch.setattr(check, "OPERATIONS", ("prototype_similarity",))
    assert __main__.main(["--device", "cpu"]) == 1
    said = capsys.readouterr().out
    assert "FAIL: raw rows: ZeroDivisionError" in said
    assert __main__.main(["--device", "cpu", "--json"]) == 1
    assert json.loads(capsys.readouterr().out)["forms"][1]["problems"]
    with pytest.raises(SystemExit) as stopped:
        __main__.main(["--device", "nowhere"])
    assert stopped.value.code == 2


def test_the_tuned_tiles_file(monkeypatch, tmp_path):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert tuned_error() is None
    (tmp_path / "hscl_kernels").mkdir()
    (tmp_path / "hscl_kernels" / "tiles.json").write_text("{")
    assert "tiles.json" in tuned_error()
