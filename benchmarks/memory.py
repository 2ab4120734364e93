"""How much memory a variant needs beyond its inputs: measured alone, in a process of its own."""

from __future__ import annotations

import ctypes
import gc
import multiprocessing
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Any

from benchmarks.interleave import Variant

_M_MMAP_THRESHOLD = -3  # of glibc's malloc.h


def extra_memory(build: Callable[[str, Any], Variant], names: list[str], small: Any, size: Any) -> dict[str, int]:
    """Return the peak extra bytes of one forward and backward of ``build(name, size)`` for each name (Linux only).

    Every variant runs in a fresh process: a warm-up at ``small`` loads code and starts threads, inputs are made (and
    the compiled variant compiled, which runs it once), free memory goes back to the system, the kernel's record of the
    highest resident size is reset (``/proc/self/clear_refs``), and that record after one forward and backward
    (``VmHWM``) less the resident size before is the result. ``ru_maxrss`` is the same record, but begins at the size
    of the process that started this one, which would hide the growth. Blocks of 1 MB or more come from the system and
    go back to it at once (``mallopt``), so that the peak is of live tensors, not of the allocator's leftovers.
    """
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["torch"])  # not our packages: the fork server does not get this process's path
    with ProcessPoolExecutor(1, mp_context=context, max_tasks_per_child=1) as processes:
        return {name: processes.submit(_growth, build, name, small, size).result() for name in names}


def _growth(build: Callable[[str, Any], Variant], name: str, small: Any, size: Any) -> int:
    libc = ctypes.CDLL(None)
    libc.mallopt(_M_MMAP_THRESHOLD, 2**20)
    _run(build(name, small))
    variant = build(name, size)
    gc.collect()
    libc.malloc_trim(0)
    Path("/proc/self/clear_refs").write_text("5")
    before = _status("VmRSS")
    _run(variant)
    return _status("VmHWM") - before


def _run(variant: Variant) -> None:
    variant.backward(variant.forward())


def _status(field: str) -> int:
    """Return a field of ``/proc/self/status`` in bytes."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith(f"{field}:"))
