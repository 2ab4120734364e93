"""The compiler targets: the limits that their kernels must keep, and the rates that predictions are made from.

The rates are the makers' published figures for one card of each architecture (dense, boost clock), not measurements.
"""

from __future__ import annotations

from typing import NamedTuple


class Gpu(NamedTuple):
    """One compiler target.

    ``processors`` multiprocessors at ``clock`` GHz, each with ``registers`` 32-bit registers, ``shared`` bytes of
    shared memory (``shared_block`` for one block) and room for ``warps`` warps. ``half``, ``tf32`` and ``single`` are
    TFLOP/s: tensor cores with float32 accumulators in 16-bit and TF32, and float32 outside them. ``memory`` is GB/s.
    """

    backend: str
    architecture: int | str
    warp: int
    card: str
    processors: int
    clock: float
    registers: int
    shared: int
    shared_block: int
    warps: int
    half: float
    tf32: float
    single: float
    memory: float


GPUS = {
    "sm_80": Gpu("cuda", 80, 32, "A100 SXM", 108, 1.41, 65536, 167936, 166912, 64, 312, 156, 19.5, 2039),
    "sm_86": Gpu("cuda", 86, 32, "RTX 3090", 82, 1.695, 65536, 102400, 101376, 48, 71, 35.6, 35.6, 936),
    "sm_89": Gpu("cuda", 89, 32, "RTX 4090", 128, 2.52, 65536, 102400, 101376, 48, 165, 82.6, 82.6, 1008),
    "sm_90": Gpu("cuda", 90, 32, "H100 SXM", 132, 1.83, 65536, 233472, 232448, 64, 989, 495, 67, 3350),
    "sm_100": Gpu("cuda", 100, 32, "B200", 148, 1.965, 65536, 233472, 232448, 64, 2250, 1125, 75, 8000),
    "sm_120": Gpu("cuda", 120, 32, "RTX 5090", 170, 2.407, 65536, 102400, 101376, 48, 209.5, 104.8, 104.8, 1792),
    "gfx942": Gpu("hip", "gfx942", 64, "MI300X", 304, 2.1, 65536 * 2, 65536, 65536, 32, 1307, 653, 163, 5300),
}
# Exponentials that a multiprocessor starts per clock (CUDA C++ Programming Guide, arithmetic instructions).
EX2_PER_CLOCK = 16
