"""The compiler targets: the limits that their kernels must keep, and the rates that predictions are made from.

The rates are the makers' published figures for one card of each architecture (dense, boost clock), not measurements. A
card of two dies that are two devices, the MI250X, counts as one of them.
"""

from __future__ import annotations

from typing import NamedTuple


class Gpu(NamedTuple):
    """One compiler target.

    ``processors`` multiprocessors at ``clock`` GHz, each with ``registers`` 32-bit registers, ``shared`` bytes of
    shared memory (``shared_block`` for one block) and room for ``warps`` warps, of which it starts ``issue``
    instructions per clock (on AMD vector instructions: scalar ones have a port of their own), and ``exponentials``
    powers of two (CUDA C++ Programming Guide, arithmetic instructions; on AMD for a quarter of the lanes that start).
    ``half``, ``tf32`` and ``single`` are TFLOP/s: tensor cores with float32 accumulators in 16-bit and TF32 (where
    there is none, float32), and float32 as torch multiplies it (on NVIDIA outside the tensor cores). ``memory`` is
    GB/s.

    On gfx11 and gfx12 a multiprocessor is what torch counts and a block runs on, a pair of compute units.
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
    issue: int
    exponentials: int
    half: float
    tf32: float
    single: float
    memory: float


GPUS = {
    "sm_80": Gpu(
        backend="cuda",
        architecture=80,
        warp=32,
        card="A100 SXM",
        processors=108,
        clock=1.41,
        registers=65536,
        shared=167936,
        shared_block=166912,
        warps=64,
        issue=4,
        exponentials=16,
        half=312,
        tf32=156,
        single=19.5,
        memory=2039,
    ),
    "sm_86": Gpu(
        backend="cuda",
        architecture=86,
        warp=32,
        card="RTX 3090",
        processors=82,
        clock=1.695,
        registers=65536,
        shared=102400,
        shared_block=101376,
        warps=48,
        issue=4,
        exponentials=16,
        half=71,
        tf32=35.6,
        single=35.6,
        memory=936,
    ),
    "sm_89": Gpu(
        backend="cuda",
        architecture=89,
        warp=32,
        card="RTX 4090",
        processors=128,
        clock=2.52,
        registers=65536,
        shared=102400,
        shared_block=101376,
        warps=48,
        issue=4,
        exponentials=16,
        half=165,
        tf32=82.6,
        single=82.6,
        memory=1008,
    ),
    "sm_90": Gpu(
        backend="cuda",
        architecture=90,
        warp=32,
        card="H100 SXM",
        processors=132,
        clock=1.83,
        registers=65536,
        shared=233472,
        shared_block=232448,
        warps=64,
        issue=4,
        exponentials=16,
        half=989,
        tf32=495,
        single=67,
        memory=3350,
    ),
    "sm_100": Gpu(
        backend="cuda",
        architecture=100,
        warp=32,
        card="B200",
        processors=148,
        clock=1.965,
        registers=65536,
        shared=233472,
        shared_block=232448,
        warps=64,
        issue=4,
        exponentials=16,
        half=2250,
        tf32=1125,
        single=75,
        memory=8000,
    ),
    "sm_120": Gpu(
        backend="cuda",
        architecture=120,
        warp=32,
        card="RTX 5090",
        processors=170,
        clock=2.407,
        registers=65536,
        shared=102400,
        shared_block=101376,
        warps=48,
        issue=4,
        exponentials=16,
        half=209.5,
        tf32=104.8,
        single=104.8,
        memory=1792,
    ),
    "gfx90a": Gpu(
        backend="hip",
        architecture="gfx90a",
        warp=64,
        card="MI250X, one die",
        processors=110,
        clock=1.7,
        registers=131072,
        shared=65536,
        shared_block=65536,
        warps=32,
        issue=1,
        exponentials=16,
        half=191.5,
        tf32=47.9,
        single=47.9,
        memory=1638,
    ),
    "gfx942": Gpu(
        backend="hip",
        architecture="gfx942",
        warp=64,
        card="MI300X",
        processors=304,
        clock=2.1,
        registers=131072,
        shared=65536,
        shared_block=65536,
        warps=32,
        issue=1,
        exponentials=16,
        half=1307,
        tf32=653,
        single=163,
        memory=5300,
    ),
    "gfx950": Gpu(
        backend="hip",
        architecture="gfx950",
        warp=64,
        card="MI355X",
        processors=256,
        clock=2.4,
        registers=131072,
        shared=163840,
        shared_block=163840,
        warps=32,
        issue=1,
        exponentials=16,
        half=2516,
        tf32=157.3,
        single=157.3,
        memory=8000,
    ),
    "gfx1100": Gpu(
        backend="hip",
        architecture="gfx1100",
        warp=32,
        card="RX 7900 XTX",
        processors=48,
        clock=2.5,
        registers=196608,
        shared=131072,
        shared_block=65536,
        warps=64,
        issue=4,
        exponentials=32,
        half=122.8,
        tf32=61.4,
        single=61.4,
        memory=960,
    ),
    "gfx1201": Gpu(
        backend="hip",
        architecture="gfx1201",
        warp=32,
        card="RX 9070 XT",
        processors=32,
        clock=2.97,
        registers=196608,
        shared=131072,
        shared_block=65536,
        warps=64,
        issue=4,
        exponentials=32,
        half=195,
        tf32=48.7,
        single=48.7,
        memory=640,
    ),
}
