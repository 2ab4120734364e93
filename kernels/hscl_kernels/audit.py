"""Compile every kernel at every table entry for every target, without a GPU, and report on the machine code.

    python -m hscl_kernels.audit [--target sm_90] [--rows 65536] [--json]

A row reports registers, spilled bytes, shared memory, resident blocks per multiprocessor, tensor-core and exponential
(MUFU.EX2) instructions in the code, and operations, bytes and *predicted* time at ``--rows`` rows:

    predicted_us = max(flops / peak rate, exponentials / (16 per clock and multiprocessor), bytes / memory bandwidth)

with the published rates of hscl_kernels.gpus. No figure here was measured on a GPU.
"""

from __future__ import annotations

import argparse
import itertools
import json
import os
import re
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path
from typing import Any, NamedTuple

from hscl_kernels import launch
from hscl_kernels.gpus import EX2_PER_CLOCK, GPUS, Gpu
from hscl_kernels.launch import Tile

_TENSOR_CORE = re.compile(r"\b(?:[HQO]MMA|HGMMA|QGMMA|UTC[A-Z]*MMA)\b|v_mfma_")
_EXPONENTIAL = re.compile(r"MUFU\.EX2|v_exp_f32")
_TERMS = ("sample_to_sample", "normal_to_abnormal", "sample_to_prototype")  # of the kernels, one writes them
VIEW_SIDES = (32, 224)  # a side only changes constants
# Counted in the source of views_kernel, per pixel of a view: the means once, the four neighbours and their places.
VIEW_FLOPS = {"rgb": 82 + 4 * 132 + 60, "grey": 10 + 4 * 20 + 60}
VIEWS_PER_IMAGE = 8  # its pixels are read from memory once
_TYPES = {2: "bf16", 4: "fp32"}  # float16 compiles to the same instructions as bfloat16 but for their type


class Case(NamedTuple):
    """One kernel at one table entry: what it is specialised for, and the work it does at ``rows`` rows."""

    kernel: str
    target: str
    variant: str  # hscl, info_nce, online (a temperature below 0.03), tf32 (float32 products may be TF32), rgb or grey;
    # "sharded" and "sharded online": the forward sweep over own rows only, as with several GPUs
    itemsize: int
    width: int  # features, or the side of the images in pixels
    tile: Tile

    @property
    def config(self) -> str:
        """The entry in words, such as ``bf16 D128 128x64 8 warps 2 stages``."""
        tile = self.tile
        if self.kernel == "views_kernel":
            return f"{self.variant} {_TYPES[self.itemsize]} {self.width} px {tile.rows} pixels {tile.warps} warps"
        shape = f"{tile.rows}x{tile.columns}" if self.kernel.startswith("sweep") else f"{tile.rows} rows"
        return f"{self.variant} {_TYPES[self.itemsize]} D{self.width} {shape} {tile.warps} warps {tile.stages} stages"


def cases(targets: list[str]) -> Iterator[Case]:
    """Yield every kernel at every entry of the tables of :mod:`hscl_kernels.launch`."""
    for target, itemsize, width in itertools.product(targets, _TYPES, launch.WIDTHS):
        for variant in ("hscl", "info_nce", "online", "tf32", "sharded", "sharded online"):
            if variant == "tf32" and (itemsize == 2 or target.startswith("gfx")):
                continue
            online = variant.endswith("online")
            tile = launch.forward_entry(target, width, itemsize, online=online)
            forward = "sweep_forward_online_kernel" if online else "sweep_forward_kernel"
            yield Case(forward, target, variant, itemsize, width, tile)
            if not variant.startswith("sharded"):
                tile = launch.backward_entry(target, width, itemsize, online=online)
                backward = "sweep_backward_online_kernel" if online else "sweep_backward_kernel"
                yield Case(backward, target, variant, itemsize, width, tile)
        rowwise = "unit_rows input_gradients similarity_gradients prototype_gradients"
        for kernel in (f"{name}_kernel" for name in rowwise.split()):
            yield Case(kernel, target, "hscl", itemsize, width, launch.row_tile(width))
        for kernel in ("unit_rows_kernel", "input_gradients_kernel"):
            yield Case(kernel, target, "info_nce", itemsize, width, launch.row_tile(width))
    for target, variant in itertools.product(targets, ("hscl", "online", "info_nce")):
        yield Case("row_terms_kernel", target, variant, 4, 16, Tile(launch.ROW_BLOCK, 1, 4, 1))
        if variant == "info_nce":
            continue
        yield Case("log_sums_kernel", target, variant, 4, 16, Tile(launch.ROW_BLOCK, 1, 4, 1))
        if variant == "hscl":
            yield Case("row_ranges_kernel", target, variant, 4, 16, Tile(launch.row_tile(16).rows, 1, 1, 1))
    for target, variant, itemsize, side in itertools.product(targets, ("rgb", "grey"), _TYPES, VIEW_SIDES):
        yield Case("views_kernel", target, variant, itemsize, side, launch.view_tile(side**2))


def audit(case: Case, rows: int = 65536) -> dict[str, Any]:
    """Compile one case and return its row of the report.

    Parameters
    ----------
    case
        The kernel, its tile and its target.
    rows
        N that work and predicted time are counted for, with D = the entry's width and K = 1; or so many views.

    Returns
    -------
    dict
        kernel, target, config, form (single, or sharded over several GPUs), dtype, registers, spill_bytes,
        shared_bytes, shared_limit, blocks_per_sm, tensor_core_instructions, mufu_instructions, flops, bytes,
        predicted_us.
    """
    gpu = GPUS[case.target]
    code = _compile(case, gpu)
    flops, exponentials, moved = _work(case, rows)
    peak = _peak(case, gpu)
    seconds = (
        flops / peak,
        exponentials / (EX2_PER_CLOCK * gpu.processors * gpu.clock * 1e9),
        moved / gpu.memory / 1e9,
    )
    return {
        "kernel": case.kernel,
        "target": case.target,
        "config": case.config,
        "form": "sharded" if case.variant.startswith("sharded") else "single",
        "dtype": _TYPES[case.itemsize],
        "registers": code["registers"],
        "spill_bytes": code["spill_bytes"],
        "shared_bytes": code["shared_bytes"],
        "shared_limit": gpu.shared_block,
        "blocks_per_sm": _resident(code, case.tile.warps, gpu),
        "tensor_core_instructions": code["tensor_core"],
        "mufu_instructions": code["exponentials"],
        "flops": flops,
        "bytes": moved,
        "predicted_us": round(max(seconds) * 1e6, 2),
    }


def _work(case: Case, rows: int) -> tuple[float, float, float]:
    """Return floating-point operations of the products, exponentials, and bytes that must come from or go to memory."""
    features = case.width
    matrix = rows * features
    size = case.itemsize
    triangular = case.variant in ("hscl", "info_nce", "tf32")
    side = max(case.tile.rows, case.tile.columns)
    plan = launch.forward_plan(rows, rows, side, GPUS[case.target].processors, triangular=triangular)
    quantities = 2 if case.variant == "info_nce" else 4
    match case.kernel:
        case "sweep_forward_kernel" | "sweep_forward_online_kernel":
            slots = quantities * plan.slots * rows * 4
            pairs = rows * rows / 2 if triangular else rows * rows
            return 2 * pairs * features, pairs, matrix * size + slots
        case "sweep_backward_kernel" | "sweep_backward_online_kernel":
            return 4.0 * rows * rows * features, rows * rows, matrix * (size + 4)
        case "row_ranges_kernel":
            return 0.0, 0.0, rows * 16
        case "row_terms_kernel" | "log_sums_kernel":
            return 0.0, 0.0, (quantities * plan.slots + 12) * rows * 4
        case "views_kernel":
            values = rows * case.width**2 * (3 if case.variant == "rgb" else 1)
            return rows * case.width**2 * VIEW_FLOPS[case.variant], 0.0, values * (size + 1 / VIEWS_PER_IMAGE)
        case "unit_rows_kernel":
            return 4.0 * matrix, 0.0, 2 * matrix * size
        case "input_gradients_kernel" | "similarity_gradients_kernel":
            return 8.0 * matrix, 0.0, matrix * (4 + 2 * size)
        case _:
            return launch.MOST_PARTS * features, 0.0, launch.MOST_PARTS * features * 4


def _peak(case: Case, gpu: Gpu) -> float:
    sweep = case.kernel.startswith("sweep")
    if sweep and case.itemsize == 2:
        return gpu.half * 1e12
    return (gpu.tf32 if sweep and case.variant == "tf32" else gpu.single) * 1e12


def _resident(code: dict[str, int], warps: int, gpu: Gpu) -> int:
    """Return how many blocks fit a multiprocessor at once, by registers, shared memory and warps."""
    per_warp = -(-code["registers"] * gpu.warp // 256) * 256
    by_registers = gpu.registers // (per_warp * warps)
    by_shared = gpu.shared // (code["shared_bytes"] + 1024)
    return max(0, min(by_registers, by_shared, gpu.warps // warps))


def _compile(case: Case, gpu: Gpu) -> dict[str, int]:
    import triton
    from triton.backends.compiler import GPUTarget
    from triton.compiler import ASTSource

    function, signature, constants = _specialise(case)
    names = list(function.arg_names)
    kinds = {name: "constexpr" if name in constants else signature[name] for name in names}
    # As at run time: torch's allocations are aligned to 16 bytes and more.
    aligned = {(names.index(n),): [["tt.divisibility", 16]] for n in names if kinds[n].startswith("*")}
    source = ASTSource(function, kinds, constexprs=constants, attrs=aligned)
    target = GPUTarget(gpu.backend, gpu.architecture, gpu.warp)
    options = {"num_warps": case.tile.warps, "num_stages": case.tile.stages, **launch.entry_options(case.target)}
    compiled = triton.compile(source, target=target, options=options)
    read = _read_amdgcn if gpu.backend == "hip" else _read_cubin
    return {"shared_bytes": compiled.metadata.shared, **read(compiled.asm)}


def _read_cubin(asm: dict[str, Any]) -> dict[str, int]:
    """Read registers and stack with cuobjdump and instructions with nvdisasm, both from Triton's own wheel."""
    from triton.backends import nvidia

    tools = Path(nvidia.__file__).with_name("bin")
    with tempfile.TemporaryDirectory() as folder:
        cubin = Path(folder) / "kernel.cubin"
        cubin.write_bytes(asm["cubin"])
        usage = _run(str(tools / "cuobjdump"), "-res-usage", str(cubin))
        # -ndf skips the analysis of the data flow, which would only annotate jumps.
        sass = _run(str(tools / "nvdisasm"), "-c", "-ndf", str(cubin))
    numbers = {name: int(value) for name, value in re.findall(r"(REG|STACK|LOCAL):(\d+)", usage)}
    return {
        "registers": numbers["REG"],
        # A stack without spills would be an array in local memory: as slow, so it counts.
        "spill_bytes": numbers["STACK"] + numbers["LOCAL"] + 4 * len(re.findall(r"\b(?:LDL|STL)\b", sass)),
        "tensor_core": len(_TENSOR_CORE.findall(sass)),
        "exponentials": len(_EXPONENTIAL.findall(sass)),
    }


def _read_amdgcn(asm: dict[str, Any]) -> dict[str, int]:
    text = asm["amdgcn"]
    return {
        "registers": int(re.findall(r"\.vgpr_count:\s+(\d+)", text)[0]),
        "spill_bytes": 4 * int(re.findall(r"\.vgpr_spill_count:\s+(\d+)", text)[0]),
        "tensor_core": len(_TENSOR_CORE.findall(text)),
        "exponentials": len(_EXPONENTIAL.findall(text)),
    }


def _run(*command: str) -> str:
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout


def _specialise(case: Case) -> tuple[Any, dict[str, str], dict[str, Any]]:
    """Return the kernel, the types of its arguments and its constants, as hscl_loss and info_nce launch it."""
    from hscl_kernels.contrast import backward_kernels, forward_kernels, online_kernels, row_terms_kernels
    from hscl_kernels.prototypes import triton_kernels as prototypes
    from hscl_kernels.views import triton_kernels as views

    modules = (forward_kernels, row_terms_kernels, backward_kernels, online_kernels, prototypes, views)
    kernel = next(getattr(module, case.kernel) for module in modules if hasattr(module, case.kernel))
    floats = "*" + _TYPES[case.itemsize]
    types = {
        **dict.fromkeys(("embeddings", "units", "embedding_gradients", "views"), floats),
        **dict.fromkeys(("images", "flip", "jitter", "contrast_first", "gray", "crop_first"), "*u8"),
        **dict.fromkeys(("ids", "roles"), "*i64"),
        **dict.fromkeys(("index", "image", "rotation"), "*i64"),
        **dict.fromkeys(("ticket", "ranges"), "*i32"),
        **dict.fromkeys(("scale", "weight_threshold", "lambda_prototype", "lambda_abnormal", "gradient_scale"), "fp32"),
        **dict.fromkeys(("scale0", "scale1", "scale2", "offset0", "offset1", "offset2"), "fp32"),
    }
    counts = "rows columns first_row first_column supers slots tiles blocks splits programs prototype_count count"
    types |= dict.fromkeys([*counts.split(), "blocks_per_program", "row_stride", "feature_stride"], "i32")
    contrasts, online = case.variant != "info_nce", case.variant.endswith("online")
    known = {
        "TRUSTED": True,
        "TRIANGULAR": not case.variant.startswith("sharded"),
        "ONLINE": online,
        "sample_to_sample": None,
        "normal_to_abnormal": None,
        "sample_to_prototype": None,
        "SATURATE": 0.0,
        "PRECISION": "tf32" if case.variant == "tf32" else "ieee",
        "FEATURES": case.width,
        "HEIGHT": case.width,
        "WIDTH": case.width,
        "CHANNELS": 3 if case.variant == "rgb" else 1,
        "ROWS": case.tile.rows,
        "COLUMNS": case.tile.columns,
        "RANGE": launch.row_tile(case.width).rows,
        "BLOCK": launch.PART_BLOCK if case.kernel == "prototype_gradients_kernel" else case.tile.rows,
        "PART_BLOCK": launch.PART_BLOCK,
        "PROTOTYPE_BLOCK": launch.PROTOTYPE_BLOCK,
    }
    if contrasts:
        known |= {"row_gradients": None, "largest_gradient": None, "anchors": None, "row_losses": None}
    else:
        absent = "shares roles total largest_anchor prototypes index slopes prototype_parts prototype_gradients anchors"
        known |= dict.fromkeys(absent.split())
    if case.kernel == "row_terms_kernel" and contrasts:
        known = {name: value for name, value in known.items() if name not in _TERMS}
    constants = {name: known[name] for name in kernel.arg_names if name in known}
    signature = {name: types.get(name, "*fp32") for name in kernel.arg_names}
    return kernel, signature, constants


def run(targets: list[str], rows: int) -> list[dict[str, Any]]:
    """Audit every case of the targets, on all cores."""
    some = list(cases(targets))
    context = get_context("forkserver")  # torch is imported once
    context.set_forkserver_preload(["torch._dynamo", "triton.compiler"])
    with ProcessPoolExecutor(os.cpu_count(), mp_context=context) as pool:
        return list(pool.map(audit, some, itertools.repeat(rows), chunksize=4))


def faults(report: list[dict[str, Any]]) -> list[str]:
    """Return the faults in a report: spills, too much shared memory, 16-bit products off the tensor cores."""
    wrong = []
    for row in report:
        name = f"{row['kernel']} for {row['target']} ({row['config']})"
        if row["spill_bytes"]:
            wrong.append(f"{name} spills {row['spill_bytes']} bytes")
        if row["shared_bytes"] > row["shared_limit"]:
            wrong.append(
                f"{name} needs {row['shared_bytes']} bytes of shared memory, the limit is {row['shared_limit']}"
            )
        if row["kernel"].startswith("sweep") and " bf16 " in row["config"] and not row["tensor_core_instructions"]:
            wrong.append(f"{name} has no tensor-core instruction")
    return wrong


def main(arguments: list[str] | None = None) -> int:
    """Print the report; exit with 1 if it has faults."""
    parser = argparse.ArgumentParser(prog="python -m hscl_kernels.audit", description=__doc__.splitlines()[0])
    parser.add_argument("--target", action="append", choices=list(GPUS), help="default: all; may be given again")
    parser.add_argument("--rows", type=int, default=65536, help="N of the predicted times (default 65536)")
    parser.add_argument("--json", action="store_true", help="print a JSON list instead of a table")
    parser.add_argument("--markdown", action="store_true", help="print the sweeps of hscl_loss at D = 128 as Markdown")
    options = parser.parse_args(arguments)
    if os.environ.get("TRITON_INTERPRET") == "1":
        parser.error("TRITON_INTERPRET=1 is set, so there is nothing to compile: unset it")
    report = run(options.target or list(GPUS), options.rows)
    wrong = faults(report)
    if options.json:
        print(json.dumps(report, indent=1))
    else:
        print(_markdown(report, options.rows) if options.markdown else _table(report))
    for fault in wrong:
        print(fault, file=sys.stderr)
    return 1 if wrong else 0


def _table(report: list[dict[str, Any]]) -> str:
    """Return the report as aligned columns."""
    heads = "kernel target config registers spill_bytes shared_bytes blocks_per_sm tensor_core_instructions "
    names = [*heads.split(), "mufu_instructions", "predicted_us"]
    rows = [names, *([f"{row[name]}" for name in names] for row in report)]
    widths = [max(len(row[column]) for row in rows) for column in range(len(names))]
    lines = ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows]
    return "\n".join(lines)


def _markdown(report: list[dict[str, Any]], rows: int) -> str:
    """Return the sweeps of hscl_loss at D = 128 as a Markdown table."""
    head = f"| sweep | target | tile | registers | shared | blocks | tensor-core | EX2 | predicted, N = {rows:,} |"
    lines = [head, "|---" * 9 + "|"]
    for row in report:
        if row["kernel"].startswith("sweep") and row["config"].startswith("hscl") and " D128 " in row["config"]:
            cells = [
                row["kernel"].split("_")[1],
                f"{row['target']} ({GPUS[row['target']].card})",
                row["config"].removeprefix("hscl ").replace(" D128", ""),
                *(row[name] for name in ("registers", "shared_bytes", "blocks_per_sm")),
                *(row[name] for name in ("tensor_core_instructions", "mufu_instructions")),
                f"{row['predicted_us'] / 1000:.2f} ms",
            ]
            lines.append("| " + " | ".join(map(str, cells)) + " |")
    return "\n".join(lines)


if __name__ == "__main__":
    sys.exit(main())
