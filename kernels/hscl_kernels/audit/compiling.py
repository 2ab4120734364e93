"""Compile recorded launches and read their machine code."""

from __future__ import annotations

import importlib
import json
import re
import subprocess
import tempfile
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from multiprocessing import get_context
from pathlib import Path
from typing import Any, NamedTuple

from triton.backends import nvidia
from triton.runtime import driver

from hscl_kernels.audit.assembly import Program, issued, main_loop, read_amdgcn, read_sass
from hscl_kernels.audit.recording import PretendDriver, is_sweep

_TOOLS = Path(nvidia.__file__).with_name("bin")


class Code(NamedTuple):
    """What the machine code of a form needs; ``loop`` are the instructions that a turn of its main loop issues.

    Instructions are read, which takes a third of a second, and counted in sweeps alone; of other kernels they are 0.
    ``wide`` are the operations in float64, of Triton's own code, in any kernel.
    """

    registers: int
    spill_bytes: int
    shared_bytes: int
    tensor_core: int
    exponentials: int
    loop: int
    wide: int = 0


class Failed(NamedTuple):
    """A form that does not compile, and why."""

    reason: str


def compile_all(forms: list[tuple[str, str]], workers: int) -> list[Code | Failed]:
    """Compile forms, each a target and a form of it, in so many processes.

    A compiler that crashes takes its process with it; what was lost is compiled again, one by one.
    """
    found: list[Code | Failed | None] = [None] * len(forms)
    with _pool(workers) as pool:
        pending = [pool.submit(compile_form, *form) for form in forms]
        for place, future in enumerate(pending):
            try:
                found[place] = future.result()
            except BrokenProcessPool:
                break
    return [code or _compile_apart(*form) for code, form in zip(found, forms, strict=True)]


def _compile_apart(target: str, form: str) -> Code | Failed:
    with _pool(1) as pool:
        try:
            return pool.submit(compile_form, target, form).result()
        except BrokenProcessPool:
            return Failed("the compiler crashed")


def _pool(workers: int) -> ProcessPoolExecutor:
    context = get_context("forkserver")  # torch is imported once
    context.set_forkserver_preload(["torch._dynamo", "triton.compiler", __name__])
    return ProcessPoolExecutor(workers, mp_context=context)


def compile_form(target: str, form: str) -> Code | Failed:
    """Compile one form for its target."""
    module, name = json.loads(form)["name"].rsplit(".", 1)
    kernel = getattr(importlib.import_module(module), name)
    driver.set_active(PretendDriver(target))
    try:
        compiled = kernel.preload(form)
    except Exception as error:  # whatever the compiler raises: it is what the audit looks for
        return Failed(f"{type(error).__name__}: {error}")
    read = _read_amdgcn if target.startswith("gfx") else _read_cubin
    code = read(compiled.asm, compiled.metadata.shared, is_sweep(name))
    return code._replace(wide=_wide(compiled.asm["ttir"]))


def _wide(text: str) -> int:
    """Count operations in float64; that an argument is one, and is made a float32, is none."""
    lines = [line for line in text.splitlines() if re.search(r"\bf64\b|xf64>", line)]
    return sum(not re.search(r"tt\.func|arith\.truncf", line) for line in lines)


def _read_cubin(asm: dict[str, Any], shared: int, sweep: bool) -> Code:
    """Read registers and stack with cuobjdump and instructions with nvdisasm, both from Triton's own wheel."""
    with tempfile.TemporaryDirectory() as folder:
        cubin = Path(folder) / "kernel.cubin"
        cubin.write_bytes(asm["cubin"])
        usage = _run(_TOOLS / "cuobjdump", "-res-usage", cubin)
        # -ndf skips the analysis of the data flow, which would only annotate jumps.
        program = read_sass(_run(_TOOLS / "nvdisasm", "-c", "-ndf", cubin) if sweep else "")
    numbers = {name: int(value) for name, value in re.findall(r"(REG|STACK|LOCAL):(\d+)", usage)}
    # A stack without spills would be an array in local memory: as slow, so it counts.
    spilled = numbers["STACK"] + numbers["LOCAL"] + 4 * program.local_accesses
    return _code(program, numbers["REG"], spilled, shared)


def _read_amdgcn(asm: dict[str, Any], shared: int, sweep: bool) -> Code:
    text = asm["amdgcn"]
    numbers = {name: int(value) for name, value in re.findall(r"\.(\w+):\s+(\d+)", text)}
    spilled = max(4 * numbers["vgpr_spill_count"], numbers["private_segment_fixed_size"])
    return _code(read_amdgcn(text if sweep else ""), numbers["vgpr_count"], spilled, shared)


def _code(program: Program, registers: int, spilled: int, shared: int) -> Code:
    loop = issued(main_loop(program))
    return Code(registers, spilled, shared, program.tensor_core, program.exponentials, loop)


def _run(*command: str | Path) -> str:
    return subprocess.run([str(part) for part in command], capture_output=True, text=True, check=True).stdout
