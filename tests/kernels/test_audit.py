"""The machine code of every kernel for every target, compiled here without a GPU."""

import json
import os
import subprocess
import sys

import pytest
from conftest import ROOT
from hscl_kernels import audit, launch
from hscl_kernels.gpus import GPUS
from hscl_kernels.launch import Tile


def run_audit(*arguments):
    environment = {**os.environ, "PYTHONPATH": str(ROOT / "kernels")}
    environment.pop("TRITON_INTERPRET", None)  # under which there would be nothing to compile
    command = [sys.executable, "-m", "hscl_kernels.audit", *arguments]
    return subprocess.run(command, capture_output=True, text=True, env=environment, timeout=1500, check=False)


@pytest.mark.slow
@pytest.mark.parametrize("target", GPUS)
def test_no_kernel_spills_and_half_precision_runs_on_tensor_cores(target):
    result = run_audit("--target", target, "--json")
    assert result.returncode == 0, result.stderr
    report = json.loads(result.stdout)
    assert len(report) == len(list(audit.cases([target])))
    for row in report:
        assert row["spill_bytes"] == 0
        assert row["shared_bytes"] <= row["shared_limit"]
        assert row["blocks_per_sm"] >= 1
        assert row["predicted_us"] > 0
        if row["kernel"].startswith("sweep"):
            assert row["mufu_instructions"] > 0
            if " bf16 " in row["config"] or row["config"].startswith("tf32"):
                assert row["tensor_core_instructions"] > 0


def test_every_kernel_is_audited():
    from hscl_kernels.contrast import backward_kernels, forward_kernels, online_kernels, row_terms_kernels
    from hscl_kernels.prototypes import triton_kernels as prototypes
    from hscl_kernels.views import triton_kernels as views

    modules = (forward_kernels, row_terms_kernels, backward_kernels, online_kernels, prototypes, views)
    defined = {name for module in modules for name in vars(module) if name.endswith("_kernel")}
    assert {case.kernel for case in audit.cases(["sm_90"])} == defined


def test_faults_are_found():
    good = {
        "kernel": "sweep_forward_kernel",
        "target": "sm_90",
        "config": "hscl bf16 D128",
        "spill_bytes": 0,
        "shared_bytes": 100,
        "shared_limit": 200,
        "tensor_core_instructions": 8,
    }
    assert audit.faults([good]) == []
    assert "spills 8 bytes" in audit.faults([{**good, "spill_bytes": 8}])[0]
    assert "300 bytes of shared memory" in audit.faults([{**good, "shared_bytes": 300}])[0]
    assert "no tensor-core" in audit.faults([{**good, "tensor_core_instructions": 0}])[0]


def printed_by(program):
    """What a program prints in a process that compiles, since this one interprets."""
    environment = {**os.environ, "PYTHONPATH": str(ROOT / "kernels")}
    environment.pop("TRITON_INTERPRET", None)
    command = [sys.executable, "-c", program]
    return subprocess.run(command, capture_output=True, text=True, env=environment, check=True).stdout


def test_a_spill_is_seen_for_real():
    """A tile that is far too large spills, and the audit reports it."""
    spilled = printed_by(
        "from hscl_kernels import audit; from hscl_kernels.launch import Tile;"
        "case = audit.Case('sweep_forward_kernel', 'sm_80', 'hscl', 2, 256, Tile(128, 128, 4, 1));"
        "print(audit.audit(case)['spill_bytes'])"
    )
    assert int(spilled) > 0


def test_the_sharded_form_compiles():
    """A branch of the triangular form must not be compiled in it: the interpreter would not notice."""
    form = printed_by(
        "from hscl_kernels import audit;"
        "case = next(case for case in audit.cases(['sm_90']) if case.variant == 'sharded' and case.itemsize == 4);"
        "print(audit.audit(case)['form'])"
    )
    assert form == "sharded\n"


def test_kernels_compile_without_the_tensors_that_are_absent():
    """Nothing may use a pointer that is None, not even after a return: the interpreter would not get there."""
    kernels = printed_by(
        "from hscl_kernels import audit;"
        "some = [case for case in audit.cases(['sm_90']) if case.variant == 'info_nce' and case.itemsize == 4];"
        "rows = [case for case in some if 'sweep' not in case.kernel and case.width in (16, 128)];"
        "print(*{audit.audit(case)['kernel'] for case in rows})"
    )
    assert set(kernels.split()) == {"unit_rows_kernel", "input_gradients_kernel", "row_terms_kernel"}


def test_work_is_counted_by_hand():
    """N^2 D for the triangle's multiply-adds, 4 N^2 D for the row-owned backward, N^2 / 2 and N^2 exponentials."""
    tile = Tile(128, 64, 8, 2)
    forward = audit._work(audit.Case("sweep_forward_kernel", "sm_90", "hscl", 2, 128, tile), 4096)
    backward = audit._work(audit.Case("sweep_backward_kernel", "sm_90", "hscl", 2, 128, tile), 4096)
    assert forward[:2] == (4096 * 4096 * 128, 4096 * 4096 / 2)
    assert backward[:2] == (4 * 4096 * 4096 * 128, 4096 * 4096)


def test_the_interpreter_has_nothing_to_compile():
    environment = {**os.environ, "PYTHONPATH": str(ROOT / "kernels"), "TRITON_INTERPRET": "1"}
    command = [sys.executable, "-m", "hscl_kernels.audit", "--target", "sm_90"]
    result = subprocess.run(command, capture_output=True, text=True, env=environment, check=False)
    assert result.returncode == 2
    assert "unset it" in result.stderr


@pytest.mark.parametrize("rows", [2, 100, 2048, 65536, 2**20])
def test_the_forward_plan_covers_the_matrix_in_bounded_memory(rows):
    plan = launch.forward_plan(rows, rows, 128, 132, triangular=True)
    assert plan.supers * plan.tiles * 128 >= rows > (plan.supers - 1) * plan.tiles * 128
    assert plan.programs == plan.supers * (plan.supers + 1) // 2
    assert plan.slots == plan.supers + 1
    assert plan.slots * 16 <= 1100  # bytes of partial sums per row
    if rows >= 8192:
        assert plan.programs >= 4 * 132


@pytest.mark.parametrize("rows", [2, 100, 2048, 65536])
def test_the_row_owned_plan_covers_the_columns(rows):
    tile = Tile(128, 32, 8, 2)
    splits, tiles = launch.row_owned_plan(rows, rows, tile, 132)
    assert (splits - 1) * tiles * tile.columns < rows <= splits * tiles * tile.columns


@pytest.mark.parametrize("rows", [2048, 4096, 17408, 17409, 40000, 65536])
def test_the_row_owned_plan_leaves_few_multiprocessors_idle(rows):
    """The last turn of programs may be of few: 52 % of an H100 were at work at 17,408 rows, in two turns of 136."""
    tile, multiprocessors = Tile(128, 64, 8, 2), 132
    splits, tiles = launch.row_owned_plan(rows, rows, tile, multiprocessors)
    blocks = -(-rows // tile.rows)
    turns = -(-blocks * splits // multiprocessors)
    work = blocks * -(-rows // tile.columns)
    assert work / (multiprocessors * turns * tiles) > 0.8


def test_few_rows_keep_every_multiprocessor_busy():
    """The paper's batch is 2,048 rows: tiles of 128 made 136 programs, two turns of an H100 of which one was empty."""
    few = launch.forward_entry("sm_90", 128, 2, online=False, few=True)
    plan = launch.forward_plan(2048, 2048, max(few.rows, few.columns), 132, triangular=True)
    assert plan.programs == 528
    assert launch.row_owned_plan(2048, 2048, Tile(128, 64, 8, 2), 132) == (8, 4)  # 128 programs, in one turn
