"""The objective in C++: all its code against the oracle, both CPU forms against each other, and the fallback."""

import os
import shutil
import subprocess
import sys
import threading

import pytest
import test_budget
import torch
from conftest import ROOT
from forms import assert_within_budget, make_batch, objective
from hscl_kernels import cpu_threads, hscl_loss, info_nce
from hscl_kernels.contrast import cpu_native, cpu_sweep
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

WHY_NOT = cpu_native.why_not()
needs_library = pytest.mark.skipif(WHY_NOT is not None, reason=f"the objective is not in C++ here: {WHY_NOT}")
NAMES = ("any CPU", "AVX2", "AVX-512")
HERE = range(cpu_native.instructions() + 1)
every_code = pytest.mark.parametrize("code", HERE, ids=[NAMES[code] for code in HERE])


@pytest.fixture
def in_python(monkeypatch):
    monkeypatch.setattr(cpu_native, "is_used", lambda backend, temperature: False)


def use(monkeypatch, code, tile=1):
    """Run the code for some instructions, in tiles of one panel: 8 to 48 rows."""
    monkeypatch.setattr(cpu_native, "instructions", lambda: code)
    monkeypatch.setattr(cpu_native, "TILE", tile)
    monkeypatch.setattr(cpu_native, "_SMALLEST_TILE", tile)


def gradients(batch, **options):
    """Return the outputs of hscl_loss and of info_nce in float32, and their gradients."""
    z, v = (tensor.float().requires_grad_() for tensor in batch[:2])
    loss = hscl_loss(z, v, batch.ids, batch.roles, **options)
    losses = info_nce(z, batch.ids, reduction="none")
    by_inputs = torch.autograd.grad(loss.total + 2 * loss.normal_to_abnormal, (z, v))
    by_rows = torch.autograd.grad(losses, z, torch.linspace(-1, 1, len(z)))
    return [value.detach() for value in (*loss, losses, *by_inputs, *by_rows)]


@pytest.mark.skipif(not any(map(shutil.which, ("g++", "clang++"))), reason="there is no C++ compiler")
def test_it_is_built_where_there_is_a_compiler():
    assert WHY_NOT is None, f"{WHY_NOT} (in a working copy: python setup.py build_ext --inplace)"


@needs_library
@every_code
@pytest.mark.parametrize("case", test_budget.CASES)
def test_every_code_keeps_the_budget(monkeypatch, code, case):
    use(monkeypatch, code)
    problem = test_budget.objective(torch.float32, **test_budget.CASES[case])
    assert_within_budget(problem, "cpu", torch.float32)


@needs_library
@every_code
@pytest.mark.parametrize("dtype", [torch.float64, torch.bfloat16, torch.float16])
@pytest.mark.parametrize("estimator", ["expectation", "multinomial"])
def test_every_dtype_keeps_the_budget(monkeypatch, code, dtype, estimator):
    use(monkeypatch, code)
    options = {"na_estimator": estimator}
    assert_within_budget(test_budget.objective(dtype, rows=131, options=options), "cpu", dtype)
    assert_within_budget(test_budget.contrast(dtype, rows=131, reduction="none"), "cpu", dtype)


@pytest.mark.parametrize("case", test_budget.CASES)
def test_the_form_in_python_keeps_the_budget(monkeypatch, in_python, case):
    monkeypatch.setattr(cpu_sweep, "TILE", 16)
    monkeypatch.setattr(cpu_sweep, "_SMALLEST_TILE", 8)
    monkeypatch.setattr(cpu_sweep, "share_count", lambda: 2)
    problem = test_budget.objective(torch.float32, **test_budget.CASES[case])
    assert_within_budget(problem, "cpu", torch.float32)


@pytest.mark.parametrize("shares", [1, 3, 50])
@pytest.mark.parametrize("tile", [8, 64])
def test_any_number_of_shares_in_python_keeps_the_budget(monkeypatch, in_python, shares, tile):
    monkeypatch.setattr(cpu_sweep, "share_count", lambda: shares)
    monkeypatch.setattr(cpu_sweep, "TILE", tile)
    monkeypatch.setattr(cpu_threads, "share_count", lambda: shares)
    assert_within_budget(test_budget.objective(torch.float32, rows=61), "cpu", torch.float32)


@needs_library
@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    shape=test_budget.shapes,
    different_ids=st.integers(1, 40),
    multinomial=st.booleans(),
    code=st.sampled_from(HERE),
    kept=st.booleans(),
)
@example(**test_budget.OVER_ONE_BUDGET, code=0, kept=False)
def test_any_batch_keeps_the_budget(monkeypatch, shape, different_ids, multinomial, code, kept):
    with monkeypatch.context() as patch:
        use(patch, code)
        patch.setattr(cpu_native, "MOST_KEPT", 2048 if kept else 0)
        problem = test_budget.drawn_problem(shape, different_ids, multinomial)
        assert_within_budget(problem, "cpu", torch.float32, budgets=test_budget.BUDGETS_OF_DRAWN)


@needs_library
@pytest.mark.parametrize("rows", [1, 2, 47, 48, 49, 700, 2100])
@pytest.mark.parametrize("roles", [[1, 0, 0, -1], [1, 0, 2, 2, -1, 2]], ids=["inherit", "exclude"])
def test_both_forms_agree(monkeypatch, rows, roles):
    batch = make_batch(rows, 37, 5, roles=torch.tensor(roles * rows)[:rows])
    ours = gradients(batch)
    monkeypatch.setattr(cpu_native, "is_used", lambda backend, temperature: False)
    for one, other in zip(ours, gradients(batch), strict=True):
        torch.testing.assert_close(one, other, rtol=2e-5, atol=2e-6 * max(other.abs().max().item(), 1e-3))


@needs_library
def test_the_number_of_threads_changes_no_bit():
    batch = make_batch(900, 40, 3)
    threads = torch.get_num_threads()
    try:
        found = []
        for count in (1, 2, 2, 7):
            torch.set_num_threads(count)
            found.append(gradients(batch))
    finally:
        torch.set_num_threads(threads)
    for other in found[1:]:
        assert all(torch.equal(a, b) for a, b in zip(found[0], other, strict=True))


@needs_library
def test_calls_at_the_same_time_do_not_disturb_each_other():
    batches = [make_batch(rows, 24, 2, seed=rows) for rows in (300, 500)]
    threads = torch.get_num_threads()
    found = {}

    def repeat(number):
        torch.set_num_threads(2)
        found[number] = [gradients(batches[number]) for _ in range(5)]

    expected = [gradients(batch) for batch in batches]
    callers = [threading.Thread(target=repeat, args=(number,)) for number in range(2)]
    try:
        for caller in callers:
            caller.start()
        for caller in callers:
            caller.join()
    finally:
        torch.set_num_threads(threads)
    for number, values in enumerate(expected):
        for again in found[number]:
            assert all(torch.equal(a, b) for a, b in zip(values, again, strict=True))


@needs_library
def test_exponentials_that_were_kept_give_the_gradients_of_new_ones(monkeypatch):
    batch = make_batch(300, 24, 2)
    kept = gradients(batch)
    monkeypatch.setattr(cpu_native, "MOST_KEPT", 0)
    assert cpu_native.kept_size(300, "cpu", 0.5, torch.float32) == 0
    assert all(torch.equal(a, b) for a, b in zip(kept, gradients(batch), strict=True))


@needs_library
def test_backward_can_run_again():
    batch = make_batch(100)
    z = batch.embeddings.float().requires_grad_()
    total = hscl_loss(z, batch.prototypes.float(), batch.ids, batch.roles).total
    first, again = (torch.autograd.grad(total, z, retain_graph=True)[0] for _ in range(2))
    assert torch.equal(first, again)


@needs_library
@pytest.mark.parametrize("loss", ["info_nce", "hscl_loss"])
def test_backward_fills_no_gradients_of_zeros(loss):
    """Autograd would make one for every output that has none: as much work as half the backward, on all threads."""
    batch = make_batch(100)
    z = batch.embeddings.float().requires_grad_()
    if loss == "info_nce":
        total = info_nce(z, batch.ids)
    else:
        total = hscl_loss(z, batch.prototypes.float(), batch.ids, batch.roles).total
    with torch.profiler.profile(activities=[torch.profiler.ProfilerActivity.CPU]) as profile:
        torch.autograd.grad(total, z)
    names = {event.name for event in profile.events()}
    assert f"hscl_kernels::{loss}_backward" in names
    assert "aten::zeros" not in names


@needs_library
@pytest.mark.parametrize("temperature", [0.03, 1e4])
def test_the_ends_of_the_temperatures_that_it_takes(temperature):
    assert cpu_native.is_used("cpu", temperature)
    assert_within_budget(objective(make_batch(75), temperature=temperature), "cpu", torch.float32, budgets=2)


def test_log_sums_are_computed_in_python():
    assert not cpu_native.is_used("cpu", 0.029)


@needs_library
def test_unknown_roles_are_an_error():
    batch = make_batch(20)
    with pytest.raises(ValueError, match=r"roles holds \[3\], expected only"):
        hscl_loss(batch.embeddings, batch.prototypes, batch.ids, torch.full((20,), 3))


@needs_library
def test_without_the_library_python_takes_over(monkeypatch, tmp_path):
    """Also where the library was built from sources other than those that lie beside it."""
    library = next(path for path in (ROOT / "kernels/hscl_kernels/contrast").glob("_objective*.so"))
    folder = tmp_path / "hscl_kernels"
    shutil.copytree(ROOT / "kernels/hscl_kernels", folder, ignore=shutil.ignore_patterns("*.so", "__pycache__"))
    program = """
import os, sys, torch
for line in sys.stdin:
    if not os.fork():
        from hscl_kernels import hscl_loss
        from hscl_kernels.contrast import cpu_native
        z = torch.eye(6, requires_grad=True)
        hscl_loss(z, z[:2], torch.arange(6) % 3, torch.tensor([1, 0, -1, 2, 0, 0])).total.backward()
        print(cpu_native.is_used("cpu", 0.5), z.grad.isfinite().all().item(), cpu_native.why_not(), flush=True)
        os._exit(0)
    os.wait()
"""
    environment = {**os.environ, "PYTHONPATH": str(tmp_path), "OMP_NUM_THREADS": "1"}
    command, pipe = [sys.executable, "-c", program], subprocess.PIPE
    with subprocess.Popen(command, env=environment, stdin=pipe, stdout=pipe, text=True) as process:

        def run():
            """What a process says that imports the package as it is now; torch is imported once for all of them."""
            process.stdin.write("\n")
            process.stdin.flush()
            return process.stdout.readline()

        assert run().startswith("False True it was not built: install a C++ compiler")
        shutil.copy(library, folder / "contrast")
        assert run() == "True True None\n"
        with (folder / "contrast/native/tiles.h").open("a") as file:
            file.write("// changed\n")
        assert "was built from other sources" in run()


def test_installing_without_a_compiler_works(tmp_path):
    environment = {**os.environ, "CC": "/nonexistent", "CXX": "/nonexistent"}
    command = [sys.executable, "setup.py", "build_ext", "--build-lib", str(tmp_path), "--build-temp", str(tmp_path)]
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert 'building extension "hscl_kernels.contrast._objective" failed' in done.stdout + done.stderr
    assert not list(tmp_path.rglob("*.so"))
