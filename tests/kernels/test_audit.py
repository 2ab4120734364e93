"""The machine code of what the operations launch on every target, compiled here without a GPU."""

import itertools
import json
import os
import re
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import hscl_kernels
import pytest
from conftest import ROOT
from hscl_kernels import launch
from hscl_kernels.audit import assembly, prediction, report
from hscl_kernels.audit import compiling as compiling_code
from hscl_kernels.audit.cases import Case, cases
from hscl_kernels.audit.compiling import Code, Failed
from hscl_kernels.audit.recording import Launch, is_sweep, record
from hscl_kernels.audit.spills import KNOWN, Spill
from hscl_kernels.gpus import GPUS
from hscl_kernels.launch import Tile

STEP, FEW = "hscl bf16 D128 ", "few rows bf16 D128 "  # how the rows of the ordinary training steps begin


def compiling(*command):
    """Run Python where kernels are compiled; in this process they are interpreted."""
    environment = {**os.environ, "PYTHONPATH": str(ROOT / "kernels")}
    environment.pop("TRITON_INTERPRET", None)
    command = [sys.executable, *command]
    return subprocess.run(command, capture_output=True, text=True, env=environment, timeout=1500, check=False)


def printed_by(program, *arguments):
    """What a program prints, read as JSON."""
    result = compiling("-c", program, *arguments)
    assert result.returncode == 0, result.stderr
    return json.loads(result.stdout)


@pytest.mark.slow
def test_what_is_launched_compiles_without_spills():
    """The quick audit: on every target the training step and what is known to spill, and all else on one of them."""
    result = compiling("-m", "hscl_kernels.audit", "--quick", "--json")
    assert result.returncode == 0, result.stderr
    rows = json.loads(result.stdout)
    assert {row["kernel"] for row in rows} == kernels()
    around = {"unit_rows_kernel", "sweep_backward_kernel", "input_gradients_kernel"}
    for target, step in itertools.product(GPUS, (STEP, FEW)):
        ours = [row for row in rows if row["target"] == target and row["form"] == "single"]
        ordinary = [row for row in ours if row["config"].startswith(step)]
        for inlined in (False, True):
            launched = {row["kernel"] for row in ordinary if row["config"].endswith(" inlined") == inlined}
            # 2,048 rows are many for the 32 multiprocessors of gfx1201.
            if step == FEW and not target.startswith("gfx9") and target != "gfx1201":
                assert launched == around | {"sweep_forward_to_losses_kernel"}
            else:
                assert launched >= around | {"sweep_forward_kernel", "row_terms_kernel"}
    spilling = {Spill(row["kernel"], row["target"], row["dtype"], row["width"]) for row in rows if row["spill_bytes"]}
    assert spilling == KNOWN
    for row in rows:
        assert row["error"] is None
        assert row["shared_bytes"] <= row["shared_limit"]
        assert row["blocks_per_sm"] >= 1
        assert row["predicted_us"] >= prediction.LAUNCH_FLOOR_US
        if is_sweep(row["kernel"]):
            assert row["mufu_instructions"] > 0
            assert row["issue_cycles"] > 0
            if row["dtype"] != "fp32" or row["config"].startswith("tf32 fp32"):
                assert row["tensor_core_instructions"] > 0


MASKED = """
import json
from hscl_kernels.audit import report
from hscl_kernels.audit.cases import _hscl
from hscl_kernels.audit.compiling import compile_form

launched = report.launches([_hscl("hscl", "bf16", 65536, 100)], "sm_90")
codes = [compile_form("sm_90", one.form) for _, one in launched if one.kernel == "sweep_backward_kernel"]
print(json.dumps([code.spill_bytes for code in codes]))
"""


def test_features_that_are_no_power_of_two_do_not_spill_on_sm_90():
    """Not a part of the quick audit, which compiles this case on another target."""
    assert printed_by(MASKED) == [0]


def kernels():
    """The names of all kernels, found in the source."""
    files = Path(hscl_kernels.__file__).parent.rglob("*.py")
    return {name for file in files for name in re.findall(r"^def (\w+_kernel)\(", file.read_text(), re.MULTILINE)}


def test_the_quick_audit_sees_every_case():
    """The ordinary steps on every target; every other case on one, which is one that it concerns."""
    ordinary, few, *others = cases(65536)
    assert (f"{ordinary.name} ", f"{few.name} ") == (STEP, FEW)
    seen = report.dealt(others)
    assert [case.variant for _, case in seen] == [case.variant for case in others]
    assert {target for target, _ in seen} == set(GPUS)
    assert all(target.startswith("sm") for target, case in seen if "tf32" in case.variant)
    assert all(target.startswith("gfx") for target, case in seen if "2 GiB" in case.variant)


RECORDED = """
import json
from hscl_kernels.audit import report
from hscl_kernels.audit.cases import _hscl, cases
from hscl_kernels.audit.compiling import Failed
from hscl_kernels.audit.recording import record
from hscl_kernels.gpus import GPUS

sizes = [2, 15, 16, 17, 64, 128, 129, 2047, 2048, 65536, 2**20]
forms = {}
for target in ("sm_90", "gfx942"):
    found = forms[target] = {}
    for rows in sizes:
        for prototypes in (1, 16):
            for one in record(_hscl("hscl", "bf16", rows, 128, prototypes=prototypes), target):
                found.setdefault(f"{one.kernel} {one.constants} {one.warps} {one.stages}", set()).add(one.form)
launched = report.launches(cases(65536), "sm_90")
sharded = record(_hscl("hscl", "bf16", 65536, 128, sharded=True), "sm_90")
print(json.dumps({
    "forms": {target: {name: len(some) for name, some in found.items()} for target, found in forms.items()},
    "kernels": sorted({one.kernel for _, one in launched}),
    "few": {target: [one.kernel for one in record(_hscl("hscl", "bf16", 512, 128), target)] for target in GPUS},
    "all_forms": len(launched),
    "programs": [one.programs for one in sharded],
    "tf32": [one.constants["PRECISION"] for case, one in launched if case.variant == "tf32" if "sweep" in one.kernel],
    "table": [report.what_is_launched(report.row(case, one, Failed("not compiled")))
              for case, one in report.table_launches(list(GPUS), 65536)],
    "amd": [one.constants["PRECISION"] for case in cases(64) if case.variant == "tf32"
            for one in record(case, "gfx942") if "sweep" in one.kernel],
}))
"""


@pytest.fixture(scope="module")
def recorded():
    return printed_by(RECORDED)


def test_every_kernel_is_launched_by_a_case(recorded):
    assert set(recorded["kernels"]) == kernels()


def test_no_size_is_compiled_anew(recorded):
    """An integer that is 1 or that 16 divides must not make another form, which might spill."""
    for kernels in recorded["forms"].values():
        assert 5 <= len(kernels) <= 8  # tiles of few rows differ
        assert set(kernels.values()) == {1}
    assert recorded["all_forms"] < 150


def test_tf32_is_for_nvidia_only(recorded):
    assert set(recorded["tf32"]) == {"tf32"}
    assert set(recorded["amd"]) == {"ieee"}


def test_the_table_in_the_readme_has_the_tiles_of_today(recorded):
    """Its other columns come from the compiler: python -m hscl_kernels.audit --markdown."""
    printed = (ROOT / "kernels" / "README.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| (forward|backward) \| ([^|]+) \| ([^|]+) \|", printed, re.MULTILINE)
    assert [list(row) for row in rows] == recorded["table"]


def test_recording_needs_kernels_that_compile():
    with pytest.raises(RuntimeError, match="unset it"):
        record(cases(64)[0], "sm_90")


PLANTED = """
import importlib, json, pathlib, sys
from hscl_kernels import launch
from hscl_kernels.audit import report
from hscl_kernels.audit.cases import _hscl
from hscl_kernels.audit.compiling import compile_form
from hscl_kernels.contrast import triton_form

def audited(case, kernel):
    found = [(case, one) for case, one in report.launches([case], "sm_80") if one.kernel == kernel]
    return [report.row(case, one, compile_form("sm_80", one.form)) for case, one in found]

chosen = launch.forward_tile
launch.forward_tile = lambda *_, **__: launch.Tile(128, 128, 4, 1)
spilled = audited(_hscl("hscl", "bf16", 65536, 256), "sweep_forward_kernel")
launch.forward_tile = chosen

alias, module = next(pair for pair in vars(triton_form).items() if hasattr(pair[1], "log_sums_kernel"))
source = pathlib.Path(module.__file__).read_text()
store = "    tl.store(pointer, one * LN2, mask=inside)\\n"
assert source.count(store) == 1
branch = '''    if ONLINE:
        slot = one
    taken = ONLINE and (rows > 1)  # a tensor, so its branch is compiled, and slot is not defined in it
    if taken:
        one = slot
'''
pathlib.Path(sys.argv[1], "planted.py").write_text(source.replace(store, branch + store))
sys.path.insert(0, sys.argv[1])
setattr(triton_form, alias, importlib.import_module("planted"))
broken = audited(_hscl("hscl", "bf16", 64, 64, sharded=True), "log_sums_kernel")
print(json.dumps({"spilled": report.faults(spilled), "broken": report.faults(broken)}))
"""


def test_faults_in_a_real_launch_are_seen(tmp_path):
    """A tile that is far too large spills; a branch of another form is compiled, which the interpreter never takes."""
    faults = printed_by(PLANTED, str(tmp_path))
    assert any("spills" in fault for fault in faults["spilled"])
    (fault,) = faults["broken"]
    assert "log_sums_kernel for sm_80 (sharded, hscl bf16 D64" in fault
    assert "does not compile" in fault
    assert "slot" in fault


def forward(triangular=True):
    constants = {"ROWS": 128, "COLUMNS": 64, "PRECISION": "ieee", "TRIANGULAR": triangular}
    return Launch("sweep_forward_kernel", "sm_90", "", constants, warps=8, stages=2, programs=528, moved=2**20)


def ordinary(rows, form="single", dtype="bf16"):
    return Case("hscl", dtype, rows, 128, lambda: None, form)


CODE = Code(registers=128, spill_bytes=0, shared_bytes=100, tensor_core=8, exponentials=32, loop=921)


def test_faults_are_found():
    good = report.row(ordinary(4096), forward(), CODE)
    assert report.faults([good]) == []
    assert "spills 8 bytes" in report.faults([{**good, "spill_bytes": 8}])[0]
    assert "300000 bytes of shared memory" in report.faults([{**good, "shared_bytes": 300000}])[0]
    assert "no tensor-core" in report.faults([{**good, "tensor_core_instructions": 0}])[0]
    assert "does not fit" in report.faults([{**good, "blocks_per_sm": 0}])[0]
    assert "85 operations in float64" in report.faults([{**good, "float64_operations": 85}])[0]
    failed = report.row(ordinary(4096), forward(), Failed("NameError: slot"))
    assert failed["registers"] is None
    assert "does not compile: NameError: slot" in report.faults([failed])[0]


def test_what_is_known_to_spill_must_spill():
    known = forward()._replace(target="gfx1100", constants={**forward().constants, "WIDTH": 256})
    case = Case("hscl", "fp32", 4096, 256, lambda: None)
    spilling = report.row(case, known, CODE._replace(spill_bytes=8))
    assert report.faults([spilling]) == []
    fits = report.row(case, known, CODE)
    assert "sweep_forward_kernel gfx1100 fp32 256 does not spill" in report.faults([fits])[0]
    assert report.faults([fits, spilling]) == []
    half = report.row(ordinary(4096, dtype="fp16"), known, CODE._replace(spill_bytes=8))
    assert "spills 8 bytes" in report.faults([half])[0]


def test_reports_are_printed():
    some = [report.row(ordinary(65536), forward(), code) for code in (CODE, Failed("no"))]
    assert "1842.0" in report.table(some[:1])
    assert "-" in report.table(some[1:])
    assert "| forward | sm_90 (H100 SXM) | bf16 128x64 8 warps 2 stages | 128 |" in report.markdown(some[:1], 65536)


def test_work_is_counted_by_hand():
    """N^2 D for the triangle's multiply-adds, 2 N^2 D for own rows, 4 N^2 D for the row-owned backward."""
    square = 4096 * 4096
    assert prediction.work(ordinary(4096), forward()) == (square * 128, square / 2, square / 2 / 128 / 64)
    assert prediction.work(ordinary(4096, "sharded"), forward(triangular=False))[:2] == (2 * square * 128, square)
    to_losses = forward(triangular=None)._replace(kernel="sweep_forward_to_losses_kernel")
    assert prediction.work(ordinary(4096), to_losses) == prediction.work(ordinary(4096), forward())
    backward = forward(triangular=False)._replace(kernel="sweep_backward_kernel")
    assert prediction.work(ordinary(4096), backward)[:2] == (4 * square * 128, square)


def test_the_largest_time_is_predicted():
    """921 instructions of 8 warps on 4 schedulers are 1,842 cycles: more than the products or exponentials take."""
    issued = prediction.predict(ordinary(65536), forward(), CODE)
    assert issued.issue_cycles == 1842
    assert issued.bound == "issue"
    tiles = 65536**2 / 2 / 128 / 64
    assert issued.microseconds == pytest.approx(2 + tiles * 1842 / 132 / 1.83e9 * 1e6)
    light = CODE._replace(loop=10)
    assert prediction.predict(ordinary(65536), forward(), light).bound in ("products", "exponentials")
    single = prediction.predict(ordinary(65536, dtype="fp32"), forward(), light)
    assert single.bound == "products"
    assert single.microseconds == pytest.approx(2 + 65536**2 * 128 / 67e12 * 1e6)
    heavy = forward()._replace(moved=2**40)
    assert prediction.predict(ordinary(65536), heavy, CODE).bound == "memory"


def test_no_time_is_below_that_of_a_launch():
    assert prediction.predict(ordinary(64), forward(), CODE).microseconds > prediction.LAUNCH_FLOOR_US


SASS = """
        /*0000*/                   MOV R1, c[0x0][0x28] ;
        /*0010*/              @!P0 EXIT ;
.L_x_1:
        /*0020*/                   HMMA.16816.F32.BF16 R4, R4, R6, R8 ;
        /*0030*/               @P1 BRA `(.L_x_2) ;
        /*0040*/                   STL [R1], R4 ;
        /*0050*/                   MUFU.EX2 R5, R5 ;
        /*0060*/                   FADD R5, R5, R5 ;
.L_x_2:
        /*0070*/                   MUFU.EX2 R4, R4 ;
        /*0080*/               @P2 BRA `(.L_x_1) ;
        /*0090*/                   EXIT ;
.L_x_3:
        /*00a0*/                   BRA `(.L_x_3);
"""
AMDGCN = """
kernel:                                 ; @kernel
	s_load_dwordx2 s[0:1], s[2:3], 0x0
.LBB0_1:                                ; %loop
	v_mfma_f32_32x32x8_bf16 v[0:15], v[16:17], v[18:19], v[0:15]
	s_cbranch_scc1 .LBB0_2
	v_add_f32_e32 v0, v0, v1
	v_add_f32_e32 v0, v0, v1
.LBB0_2:
	v_exp_f32_e32 v0, v0
	v_mul_f32_e32 v0, v0, v1
	s_cbranch_scc0 .LBB0_1
	s_endpgm
	.section	.rodata
	.vgpr_count 12
"""


def test_the_main_loop_leaves_out_rare_branches():
    program = assembly.read_sass(SASS)
    assert (program.tensor_core, program.exponentials, program.local_accesses) == (1, 2, 1)
    loop = assembly.main_loop(program)
    assert sorted(one.opcode for one in loop) == ["BRA", "BRA", "HMMA.16816.F32.BF16", "MUFU.EX2"]
    assert assembly.issued(loop) == 4


def test_amd_issues_vector_instructions():
    program = assembly.read_amdgcn(AMDGCN)
    assert (program.tensor_core, program.exponentials) == (1, 1)
    loop = assembly.main_loop(program)
    assert len(loop) == 5
    assert assembly.issued(loop) == 2


@pytest.mark.parametrize(
    "opcode",
    ["v_mfma_f32_32x32x8_bf16", "v_wmma_f32_16x16x16_bf16"],
)
def test_matrix_instructions_of_both_of_amds_lines_are_known(opcode):
    program = assembly.read_amdgcn(f"\t{opcode} v[0:7], v[8:15], v[16:23], v[0:7]\n\tv_dual_mul_f32 v0, v1, v2\n")
    assert program.tensor_core == 1
    assert len(program.instructions) == 2


def test_operations_in_float64_are_counted():
    """All but the argument, which Inductor passes so, and its rounding to float32."""
    text = """
  tt.func public @kernel(%x: !tt.ptr<f32>, %scale: f64) {
    %0 = arith.truncf %scale : f64 to f32
    %1 = arith.extf %u : tensor<32xf32> to tensor<32xf64>
    %2 = arith.mulf %1, %s : tensor<32xf64>
    %3 = arith.mulf %0, %0 : f32
"""
    assert compiling_code._wide(text) == 2


def test_a_program_without_a_loop_has_no_main_loop():
    assert assembly.main_loop(assembly.read_sass("        /*0070*/                   MUFU.EX2 R4, R4 ;")) == []


def test_the_interpreter_has_nothing_to_compile():
    environment = {**os.environ, "PYTHONPATH": str(ROOT / "kernels"), "TRITON_INTERPRET": "1"}
    command = [sys.executable, "-m", "hscl_kernels.audit", "--target", "sm_90"]
    result = subprocess.run(command, capture_output=True, text=True, env=environment, check=False)
    assert result.returncode == 2
    assert "unset it" in result.stderr


def test_launches_are_chosen_for_an_assumed_target():
    import torch

    cpu = torch.device("cpu")
    before = launch.processors(cpu), launch.compiler_options(cpu), launch.target_of(cpu)
    with launch.assumed("sm_90"):
        assert launch.processors(cpu) == 132
        assert launch.compiler_options(cpu) == {"maxnreg": 255}
        assert launch.target_of(cpu) == "sm_90"
        assert launch.card_of(cpu) == "assumed sm_90"
    assert before == (launch.processors(cpu), launch.compiler_options(cpu), launch.target_of(cpu))


@pytest.mark.parametrize(
    ("architecture", "target"),
    [
        ("gfx90a:sramecc+:xnack-", "gfx90a"),
        ("gfx942:sramecc+:xnack-", "gfx942"),
        ("gfx950", "gfx950"),
        ("gfx1100", "gfx1100"),
        ("gfx1201", "gfx1201"),
        # What the tables do not know: MI100, Radeon VII; RX 6800 XT, RX 7600, Ryzen AI Max; RX 9060 XT.
        ("gfx908", "gfx90a"),
        ("gfx906", "gfx90a"),
        ("gfx1030", "gfx1100"),
        ("gfx1102", "gfx1100"),
        ("gfx1151", "gfx1100"),
        ("gfx1200", "gfx1201"),
    ],
)
def test_an_amd_device_has_its_own_target_or_the_nearest(monkeypatch, architecture, target):
    import torch

    monkeypatch.setattr(torch.version, "hip", "7.0")
    properties = SimpleNamespace(gcnArchName=architecture)
    monkeypatch.setattr(torch.cuda, "get_device_properties", lambda device: properties)
    assert launch.target_of(torch.device("cuda", 0)) == target


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


@pytest.mark.parametrize("target", GPUS)
def test_no_program_takes_over_from_others_on_cdna(recorded, target):
    """There a barrier does not wait for the stores of other waves, which the last program could miss."""
    if target.startswith("gfx9"):
        forward, last = ["sweep_forward_kernel", "row_terms_kernel"], ["prototype_gradients_kernel"]
    else:
        forward, last = ["sweep_forward_to_losses_kernel"], []
    backward = ["sweep_backward_kernel", "input_gradients_kernel"]
    assert recorded["few"][target] == ["unit_rows_kernel", *forward, *backward, *last]


def test_few_rows_keep_every_multiprocessor_busy():
    """The paper's batch is 2,048 rows: tiles of 128 made 136 programs, two turns of an H100 of which one was empty."""
    few = launch.forward_entry("sm_90", 128, 2, online=False, few=True)
    plan = launch.forward_plan(2048, 2048, max(few.rows, few.columns), 132, triangular=True)
    assert plan.programs == 528
    assert launch.row_owned_plan(2048, 2048, Tile(128, 64, 8, 2), 132) == (8, 4)  # 128 programs, in one turn
