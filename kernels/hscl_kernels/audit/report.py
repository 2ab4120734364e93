"""The report on all targets: a row for every distinct form that is launched, and what is wrong with it."""

from __future__ import annotations

import itertools
import os
from collections.abc import Callable
from typing import Any

from hscl_kernels.audit.cases import Case, cases
from hscl_kernels.audit.compiling import Code, Failed, compile_all
from hscl_kernels.audit.prediction import predict, resident, work
from hscl_kernels.audit.recording import Launch, is_sweep, record
from hscl_kernels.audit.spills import KNOWN, Spill, spill_of
from hscl_kernels.gpus import GPUS

Chooser = Callable[[list[str], int], list[tuple[Case, Launch]]]  # from targets and N
_IN_FLOAT64 = ("draws_kernel",)  # for the same views on every device
_PRINTED = ("hscl bf16 D128", "hscl fp32 D128")


def run(
    targets: list[str], rows: int = 65536, *, choose: Chooser | None = None, workers: int | None = None
) -> list[dict[str, Any]]:
    """Compile what is launched on the targets.

    Parameters
    ----------
    targets
        Names in :data:`hscl_kernels.gpus.GPUS`.
    rows
        N of the ordinary training step, for which times are predicted.
    choose
        Which launches are audited: :func:`every_launch` by default, :func:`quick_launches` or :func:`table_launches`.
    workers
        Processes that compile; by default one for each core.

    Returns
    -------
    list of dict
        One row for each distinct form: kernel, target, config (in words, at the end ``inlined`` for what Inductor
        launches), form (``single``, or ``sharded`` over several GPUs), dtype, width (D, rounded up; None if the
        kernel does not depend on it), programs, registers, spill_bytes, shared_bytes, shared_limit, blocks_per_sm, of
        the sweeps (else None) tensor_core_instructions, mufu_instructions and issue_cycles of a tile,
        float64_operations, flops, bytes, predicted_us, bound (which of the predicted times is the largest), error
        (None if it compiles; else all that comes from the code is None).
    """
    return compiled((choose or every_launch)(targets, rows), workers)


def compiled(launched: list[tuple[Case, Launch]], workers: int | None = None) -> list[dict[str, Any]]:
    """Compile launches and return their rows of the report."""
    codes = compile_all([(one.target, one.form) for _, one in launched], workers or os.cpu_count() or 1)
    return [row(case, one, code) for (case, one), code in zip(launched, codes, strict=True)]


def launches(some: list[Case], target: str, *, inlined: bool = False) -> list[tuple[Case, Launch]]:
    """Return the launches of some cases on a target, each form once, with the first case that launches it."""
    found: dict[str, tuple[Case, Launch]] = {}
    for case in some:
        for one in record(case, target, inlined=inlined):
            found.setdefault(one.form, (case, one))
    return list(found.values())


def every_launch(targets: list[str], rows: int) -> list[tuple[Case, Launch]]:
    """Return the launches of all cases on every target, in an eager step and inlined."""
    both = itertools.product(targets, (False, True))
    return [one for target, inlined in both for one in launches(cases(rows), target, inlined=inlined)]


def quick_launches(targets: list[str], rows: int) -> list[tuple[Case, Launch]]:
    """Return the launches of the ordinary steps, of what is known to spill, and of the cases that are :func:`dealt`.

    Of the last, those whose program is compiled for any target by a case before are left out, and of inlined launches
    all but those of the ordinary steps, of many rows and of few.
    """
    steps, others = cases(rows)[:2], cases(rows)[2:]
    every = itertools.product(steps, GPUS, (False, True))
    found = [(step, one) for step, target, inlined in every for one in record(step, target, inlined=inlined)]
    found += known_spills(rows)
    known = {one.program for _, one in found}
    for target, case in dealt(others):
        for one in record(case, target):
            if one.program not in known:
                known.add(one.program)
                found.append((case, one))
    return [(case, one) for case, one in found if one.target in targets]


def known_spills(rows: int) -> list[tuple[Case, Launch]]:
    """Return the first launch of everything that is known to spill."""
    found: dict[Spill, tuple[Case, Launch]] = {}
    for target in sorted({spill.target for spill in KNOWN}):
        dtypes = {spill.dtype for spill in KNOWN if spill.target == target}
        for case in cases(rows):
            if case.dtype in dtypes:
                for one in record(case, target):
                    found.setdefault(spill_of(case, one), (case, one))
    return [found[spill] for spill in sorted(KNOWN) if spill in found]


def dealt(some: list[Case]) -> list[tuple[str, Case]]:
    """Return cases, each with one of the targets that it concerns."""
    return [
        (concerned[place % len(concerned)], case) for place, case in enumerate(some) for concerned in [case.targets]
    ]


def table_launches(targets: list[str], rows: int) -> list[tuple[Case, Launch]]:
    """Return the launches that :func:`markdown` prints."""
    printed = [case for case in cases(rows) if case.form == "single" and case.rows == rows and case.name in _PRINTED]
    every = ((case, one) for target in targets for case in printed for one in record(case, target))
    return [(case, one) for case, one in every if is_sweep(one.kernel)]


def row(case: Case, launched: Launch, code: Code | Failed) -> dict[str, Any]:
    """Return the report's row of one form."""
    gpu = GPUS[launched.target]
    known = code if isinstance(code, Code) else None
    counted = known if is_sweep(launched.kernel) else None
    predicted = predict(case, launched, known) if known else None
    return {
        "kernel": launched.kernel,
        "target": launched.target,
        "config": f"{case.name} {_shape(launched)}{' inlined' if launched.inlined else ''}",
        "form": case.form,
        "dtype": case.dtype,
        "width": launched.constants.get("WIDTH"),
        "programs": launched.programs,
        "registers": known and known.registers,
        "spill_bytes": known and known.spill_bytes,
        "shared_bytes": known and known.shared_bytes,
        "shared_limit": gpu.shared_block,
        "blocks_per_sm": known and resident(known, launched.warps, gpu),
        "tensor_core_instructions": counted and counted.tensor_core,
        "mufu_instructions": counted and counted.exponentials,
        "float64_operations": known and known.wide,
        "issue_cycles": predicted and predicted.issue_cycles,
        "flops": work(case, launched).flops,
        "bytes": launched.moved,
        "predicted_us": predicted and round(predicted.microseconds, 2),
        "bound": predicted and predicted.bound,
        "error": code.reason if isinstance(code, Failed) else None,
    }


def _shape(launched: Launch) -> str:
    """Return a launch's tile in words, such as ``128x64 8 warps 2 stages``."""
    known = launched.constants
    if is_sweep(launched.kernel):
        return f"{known['ROWS']}x{known['COLUMNS']} {launched.warps} warps {launched.stages} stages"
    return f"{known['BLOCK']} rows {launched.warps} warps"


def faults(report: list[dict[str, Any]]) -> list[str]:
    """Return the faults in a report: what does not compile, spills, needs too much or misses the tensor cores.

    So is arithmetic in float64, and what is known to spill if none of its forms does.
    """
    wrong = []
    compiled: set[Spill] = set()
    spilling: set[Spill] = set()
    for row in report:
        name = f"{row['kernel']} for {row['target']} ({row['form']}, {row['config']})"
        if row["error"]:
            wrong.append(f"{name} does not compile: {row['error']}")
            continue
        spill = Spill(row["kernel"], row["target"], row["dtype"], row["width"])
        compiled.add(spill)
        if row["spill_bytes"]:
            spilling.add(spill)
        if row["spill_bytes"] and spill not in KNOWN:
            wrong.append(f"{name} spills {row['spill_bytes']} bytes")
        if row["shared_bytes"] > row["shared_limit"]:
            wrong.append(
                f"{name} needs {row['shared_bytes']} bytes of shared memory, the limit is {row['shared_limit']}"
            )
        if not row["blocks_per_sm"]:
            wrong.append(f"{name} does not fit a multiprocessor")
        if is_sweep(row["kernel"]) and row["dtype"] != "fp32" and not row["tensor_core_instructions"]:
            wrong.append(f"{name} has no tensor-core instruction")
        if row["float64_operations"] and row["kernel"] not in _IN_FLOAT64:
            wrong.append(f"{name} has {row['float64_operations']} operations in float64")
    for spill in sorted(compiled & KNOWN - spilling):
        wrong.append(f"{' '.join(map(str, spill))} does not spill: take it off the list in audit/spills.py")
    return wrong


def table(report: list[dict[str, Any]]) -> str:
    """Return a report as aligned columns."""
    heads = "kernel target form config programs registers spill_bytes shared_bytes blocks_per_sm "
    names = [*heads.split(), "tensor_core_instructions", "mufu_instructions", "issue_cycles", "predicted_us", "bound"]
    rows = [names, *(["-" if row[name] is None else f"{row[name]}" for name in names] for row in report)]
    widths = [max(len(row[column]) for row in rows) for column in range(len(names))]
    lines = ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows]
    return "\n".join(lines)


def markdown(report: list[dict[str, Any]], rows: int) -> str:
    """Return a report of :func:`table_launches` as a Markdown table; predicted times are in italics."""
    head = (
        f"| sweep | target | tile | registers | spilled | shared | blocks | issue | predicted, N = {rows:,} | bound |"
    )
    lines = [head, "|---" * 10 + "|"]
    for row in report:
        cells = [
            *what_is_launched(row),
            *(row[name] for name in ("registers", "spill_bytes", "shared_bytes", "blocks_per_sm")),
            f"{row['issue_cycles']:,.0f}",
            f"*{row['predicted_us'] / 1000:.2f} ms*",
            row["bound"],
        ]
        lines.append("| " + " | ".join(map(str, cells)) + " |")
    return "\n".join(lines)


def what_is_launched(row: dict[str, Any]) -> list[str]:
    """Return the cells of the Markdown table that do not depend on the compiler: sweep, target and tile."""
    tile = row["config"].removeprefix("hscl ").replace(" D128", "")
    return [row["kernel"].split("_")[1], f"{row['target']} ({GPUS[row['target']].card})", tile]
