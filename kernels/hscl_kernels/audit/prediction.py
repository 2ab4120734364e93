"""The work of a launch, and the time predicted from it; nothing here was measured.

    predicted_us = LAUNCH_FLOOR_US + max(
        flops / peak rate of the unit that multiplies,
        exponentials / (16 per clock and multiprocessor; on gfx11 and gfx12 32),
        bytes of all tensors, once / memory bandwidth,
        issue_cycles * tiles / (multiprocessors * clock),
    )

with the makers' rates in :mod:`hscl_kernels.gpus`. Each of the four is a lower bound: nothing waits, the tensors come
from memory once, every multiprocessor is busy to the end, and rare branches are not taken.
"""

from __future__ import annotations

from typing import NamedTuple

from hscl_kernels.audit.cases import Case
from hscl_kernels.audit.compiling import Code
from hscl_kernels.audit.recording import Launch, is_sweep
from hscl_kernels.gpus import GPUS, Gpu

LAUNCH_FLOOR_US = 2.0  # assumed: to start and to drain one kernel of a CUDA graph
# Counted in the source of views_kernel, per pixel of a view: the means once, the four neighbours and their places.
_VIEW_FLOPS = {"rgb": 82 + 4 * 132 + 60, "grey": 10 + 4 * 20 + 60}


class Work(NamedTuple):
    """Floating-point operations, powers of two, and tiles of the matrix (0 outside the sweeps)."""

    flops: float
    exponentials: float
    tiles: float


class Prediction(NamedTuple):
    """Cycles to issue one tile (None outside the sweeps), microseconds, and which of the four times they are."""

    issue_cycles: float | None
    microseconds: float
    bound: str


def work(case: Case, launched: Launch) -> Work:
    """Return what one launch has to do."""
    matrix = case.rows * case.features
    if is_sweep(launched.kernel):
        forward = launched.kernel.startswith("sweep_forward")
        symmetric = launched.constants.get("TRIANGULAR") or launched.kernel == "sweep_forward_to_losses_kernel"
        pairs = case.rows * case.rows / (2 if symmetric else 1)
        tiles = pairs / (launched.constants["ROWS"] * launched.constants["COLUMNS"])
        return Work((2 if forward else 4) * pairs * case.features, pairs, tiles)
    if launched.kernel == "views_kernel":
        return Work(matrix * case.features * _VIEW_FLOPS[case.variant.split()[0]], 0, 0)
    return Work(0, 0, 0)  # kernels of single rows wait for memory


def predict(case: Case, launched: Launch, code: Code) -> Prediction:
    """Return the predicted time of a launch."""
    gpu = GPUS[launched.target]
    todo = work(case, launched)
    clock = gpu.clock * 1e9
    cycles = code.loop * launched.warps / gpu.issue if todo.tiles else None
    seconds = {
        "products": todo.flops / _peak(launched, case, gpu),
        "exponentials": todo.exponentials / (gpu.exponentials * gpu.processors * clock),
        "memory": launched.moved / (gpu.memory * 1e9),
        "issue": todo.tiles * (cycles or 0) / (gpu.processors * clock),
    }
    bound = max(seconds, key=lambda kind: seconds[kind])
    return Prediction(cycles, LAUNCH_FLOOR_US + seconds[bound] * 1e6, bound)


def resident(code: Code, warps: int, gpu: Gpu) -> int:
    """Return how many blocks fit a multiprocessor at once, by registers, shared memory and warps."""
    per_warp = -(-code.registers * gpu.warp // 256) * 256
    by_registers = gpu.registers // (per_warp * warps)
    by_shared = gpu.shared // (code.shared_bytes + 1024)
    if gpu.backend == "hip":  # which keeps none for itself
        by_shared = gpu.shared // max(code.shared_bytes, 1)
    return max(0, min(by_registers, by_shared, gpu.warps // warps))


def _peak(launched: Launch, case: Case, gpu: Gpu) -> float:
    """Return FLOP/s."""
    if is_sweep(launched.kernel) and case.dtype != "fp32":
        return gpu.half * 1e12
    return (gpu.tf32 if launched.constants.get("PRECISION") == "tf32" else gpu.single) * 1e12
