"""Tiles, warps, pipeline stages and grids of the kernels on each architecture.

The tables come from the audit (``python -m hscl_kernels.audit``): each entry is, of the tiles that compile without a
spill for its target, the one that reads the units least often. ``python -m hscl_kernels.tune`` measures on a GPU
instead.
"""

from __future__ import annotations

import functools
import json
import math
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from pathlib import Path
from typing import Any, NamedTuple

import torch

from hscl_kernels.backends import INTERPRETED
from hscl_kernels.gpus import GPUS

WIDTHS = (64, 128, 256)  # features, rounded up to a power of two, that the tables have entries for
MOST_PARTS = 512  # programs whose parts of the prototypes' gradient the last launch adds
PROTOTYPE_BLOCK = 16  # prototypes whose gradient parts are formed at once
PART_BLOCK = 16  # parts of a prototype's gradient that are added at once
FEW_PROTOTYPES = 8  # whose gradients one program adds up; of more, each has its own program in another launch
_MOST_SPLITS = 32
_ORDINARY_SIDE = 128  # of the forward sweep's tiles
_PROGRAMS = 4  # of the forward sweep for each multiprocessor, at least, where there are rows enough
ROW_BLOCK = 128  # rows per program of the row terms
DRAW_BLOCK = 128  # rows whose view parameters a program draws
VIEW_BLOCK = 512  # pixels that a program of the views renders at a time
_KEY = re.compile(r"\w+ D\d+ \d bytes( online)? N[1-9]\d*")  # of tuned tiles


_ASSUMED: ContextVar[str | None] = ContextVar("assumed target", default=None)


@contextmanager
def assumed(target: str) -> Iterator[None]:
    """Choose tiles, grids and options as on the card of a target in :mod:`hscl_kernels.gpus`, whatever the device.

    The audit records with it what would be launched on cards that are not here.
    """
    token = _ASSUMED.set(target)
    try:
        yield
    finally:
        _ASSUMED.reset(token)


_TRACED: ContextVar[bool] = ContextVar("launches are traced", default=False)


@contextmanager
def traced() -> Iterator[None]:
    """Make :func:`launcher` return what torch.compile can trace."""
    token = _TRACED.set(True)
    try:
        yield
    finally:
        _TRACED.reset(token)


def launcher(kernel: Any) -> Any:
    """Return what launches a kernel, as ``launcher(kernel)[grid](...)``: itself, or what stands for it in a trace."""
    return torch.library.wrap_triton(kernel) if _TRACED.get() else kernel


class Tile(NamedTuple):
    """A kernel's tile, and the warps and pipeline stages it is compiled with.

    In the forward sweep the columns are held and rows go past; in the sweeps whose programs own rows, the other way.
    """

    rows: int
    columns: int
    warps: int
    stages: int


class ForwardPlan(NamedTuple):
    """The forward sweep's grid: square super-tiles, ``tiles`` tiles per side, ``supers`` of them per row."""

    programs: int
    supers: int
    slots: int
    tiles: int


class Table(NamedTuple):
    """The tiles of a kernel by the width of the features, and those of the targets that differ."""

    ordinary: dict[int, Tile]
    special: dict[str, dict[int, Tile]]

    def entry(self, target: str, width: int) -> Tile:
        """Return the tile for a target and a width in ``WIDTHS``."""
        return self.special.get(target, {}).get(width, self.ordinary[width])


# By the bytes of a unit, and whether sums are kept as log sums, at tau < 0.03. Of 4 bytes are units in float32, whose
# products without TF32 are exact and on NVIDIA and RDNA outside the tensor cores, so that their operands fill the
# registers. A warp of RDNA has half as many threads as AMD's others, so that its blocks have more of them.
_RDNA = ("gfx1100", "gfx1201")
_FORWARD = {
    (2, False): Table(
        dict.fromkeys(WIDTHS, Tile(64, 128, 8, 2)),
        {
            "sm_100": dict.fromkeys(WIDTHS, Tile(64, 64, 8, 1)),
            "gfx90a": {64: Tile(64, 128, 8, 1), 128: Tile(64, 128, 8, 1), 256: Tile(64, 128, 4, 1)},
            "gfx942": {64: Tile(64, 128, 8, 1), 128: Tile(64, 128, 8, 1), 256: Tile(32, 32, 4, 1)},
            "gfx950": {64: Tile(64, 128, 8, 1), 128: Tile(64, 128, 8, 1), 256: Tile(64, 128, 4, 1)},
            "gfx1100": {64: Tile(64, 128, 16, 1), 128: Tile(64, 128, 16, 1), 256: Tile(64, 64, 16, 1)},
            "gfx1201": dict.fromkeys(WIDTHS, Tile(64, 128, 16, 1)),
        },
    ),
    (2, True): Table(
        dict.fromkeys(WIDTHS, Tile(64, 64, 4, 2)),
        {
            "gfx1100": {64: Tile(64, 64, 8, 1), 128: Tile(64, 64, 8, 1), 256: Tile(64, 64, 16, 1)},
            "gfx1201": dict.fromkeys(WIDTHS, Tile(64, 64, 8, 1)),
        },
    ),
    (4, False): Table(
        dict.fromkeys(WIDTHS, Tile(32, 32, 4, 1)),
        {target: {64: Tile(32, 32, 8, 1), 128: Tile(32, 32, 16, 1), 256: Tile(16, 32, 16, 1)} for target in _RDNA},
    ),
    (4, True): Table(
        dict.fromkeys(WIDTHS, Tile(32, 32, 8, 1)),
        {
            **{target: dict.fromkeys(WIDTHS, Tile(32, 32, 4, 1)) for target in ("gfx90a", "gfx942", "gfx950")},
            **{
                target: {64: Tile(32, 32, 8, 1), 128: Tile(16, 32, 16, 1), 256: Tile(16, 32, 16, 1)} for target in _RDNA
            },
        },
    ),
}
_BACKWARD = {
    (2, False): Table(
        {64: Tile(128, 32, 8, 2), 128: Tile(128, 32, 8, 2), 256: Tile(64, 64, 8, 1)},
        {
            "sm_90": {64: Tile(128, 64, 8, 2), 128: Tile(128, 64, 8, 2)},
            "gfx90a": {128: Tile(64, 32, 8, 1), 256: Tile(64, 32, 4, 1)},
            "gfx942": {64: Tile(64, 32, 8, 1), 128: Tile(64, 32, 8, 1), 256: Tile(32, 32, 4, 1)},
            "gfx950": {128: Tile(64, 32, 8, 1), 256: Tile(64, 32, 8, 1)},
            "gfx1100": {64: Tile(128, 32, 8, 1), 128: Tile(128, 32, 16, 1), 256: Tile(64, 16, 16, 1)},
            "gfx1201": {128: Tile(128, 32, 16, 1), 256: Tile(128, 32, 16, 1)},
        },
    ),
    (2, True): Table(
        {64: Tile(64, 32, 8, 1), 128: Tile(64, 32, 8, 1), 256: Tile(32, 32, 4, 1)},
        {
            "gfx942": {64: Tile(32, 32, 4, 1), 128: Tile(32, 32, 4, 1), 256: Tile(16, 32, 4, 1)},
            "gfx1100": {256: Tile(64, 16, 16, 1)},
            "gfx1201": {256: Tile(64, 32, 16, 1)},
        },
    ),
    (4, False): Table(
        {64: Tile(32, 32, 4, 1), 128: Tile(32, 32, 4, 1), 256: Tile(16, 16, 8, 1)},
        {target: {64: Tile(32, 32, 16, 1), 128: Tile(16, 32, 16, 1), 256: Tile(16, 32, 16, 1)} for target in _RDNA},
    ),
    (4, True): Table(
        dict.fromkeys(WIDTHS, Tile(16, 16, 8, 1)),
        {target: {64: Tile(16, 32, 16, 1), 128: Tile(16, 32, 16, 1)} for target in _RDNA},
    ),
}
# In half precision, for batches whose ordinary tiles would leave some multiprocessors with nothing to do: of these, two
# blocks fit one of NVIDIA's. The kernel that sweeps few rows also computes their terms, for which not all tiles leave
# registers enough.
_FORWARD_OF_FEW = {
    **{target: dict.fromkeys((64, 128), Tile(64, 32, 4, 2)) for target in ("sm_80", "sm_86", "sm_89", "sm_90")},
    "sm_120": dict.fromkeys((64, 128), Tile(64, 64, 4, 3)),
}


def width_of(features: int) -> int:
    """Return the features rounded up to a power of two, at least 16: what the tensor cores take."""
    return max(16, 1 << (features - 1).bit_length())


def forward_entry(target: str, width: int, itemsize: int, *, online: bool, few: bool = False) -> Tile:
    """Return the table's tile of the forward sweep for a width in ``WIDTHS`` and 2- or 4-byte units."""
    ordinary = _FORWARD[itemsize, online].entry(target, width)
    special = _FORWARD_OF_FEW.get(target, {}) if few and (itemsize, online) == (2, False) else {}
    return special.get(width, ordinary)


def backward_entry(target: str, features: int, itemsize: int, *, online: bool) -> Tile:
    """Return what :func:`forward_entry` returns, for the backward sweep of so many features."""
    table, width = _BACKWARD[itemsize, online], max(width_of(features), WIDTHS[0])
    if target == "sm_90" and features != width_of(features):  # the mask would not fit beside its own larger tile
        return table.ordinary[width]
    return table.entry(target, width)


def entry_options(target: str) -> dict[str, int]:
    """Return the compiler's options other than warps and stages.

    NVIDIA's assembler spills a few registers of its own accord if one more block fits then. It does not when it is
    allowed all 255.
    """
    return {} if target.startswith("gfx") else {"maxnreg": 255}


def is_compiled(device: torch.device) -> bool:
    """Return whether kernels are compiled for a device; on the CPU they are interpreted."""
    return device.type == "cuda" or _ASSUMED.get() is not None


def compiler_options(device: torch.device) -> dict[str, int]:
    """Return :func:`entry_options` of a device; the interpreter takes none."""
    return entry_options(target_of(device)) if is_compiled(device) else {}


def few_rows(rows: int, device: torch.device) -> bool:
    """Return whether tiles of the ordinary size would make too few programs of the forward sweep for a device."""
    multiprocessors = processors(device)
    plan = forward_plan(rows, rows, _ORDINARY_SIDE, multiprocessors, triangular=True)
    return plan.programs < _PROGRAMS * multiprocessors


def hands_over(device: torch.device) -> bool:
    """Return whether the program that draws the last ticket sees what all threads of the others have stored.

    On CDNA it may not: a barrier there does not wait until the stores of other waves are complete, so that the thread
    that draws for a program can be ahead of them. What one program leaves for another then takes a launch of its own,
    unless that thread has stored it.
    """
    return not target_of(device).startswith("gfx9")


def forward_ends_with_terms(rows: int, device: torch.device) -> bool:
    """Return whether the programs of the forward sweep go on to the terms of the rows."""
    return few_rows(rows, device) and hands_over(device)


def forward_tile(rows: int, width: int, dtype: torch.dtype, device: torch.device, *, online: bool) -> Tile:
    """Return the tile of the forward sweep of ``rows`` on a device: the tuned one if there is one, else the table's."""
    tuned = tuned_tile("forward", rows, width, dtype.itemsize, device, online=online)
    few = few_rows(rows, device)
    return tuned or forward_entry(target_of(device), max(width, WIDTHS[0]), dtype.itemsize, online=online, few=few)


def backward_tile(rows: int, features: int, dtype: torch.dtype, device: torch.device, *, online: bool) -> Tile:
    """Return what :func:`forward_tile` returns, for the backward sweep of so many features."""
    tuned = tuned_tile("backward", rows, width_of(features), dtype.itemsize, device, online=online)
    return tuned or backward_entry(target_of(device), features, dtype.itemsize, online=online)


def row_tile(width: int, device: torch.device) -> Tile:
    """Return the tile of the kernels that work on single rows."""
    return Tile(max(16, 4096 // max(width, WIDTHS[0])), 1, 16 if target_of(device) in _RDNA else 4, 1)


def view_tile(pixels: int) -> Tile:
    """Return the tile of the kernel that renders views of so many pixels; its rows are pixels."""
    return Tile(min(VIEW_BLOCK, max(32, 1 << (pixels - 1).bit_length())), 1, 4, 1)


def tile_key(kernel: str, rows: int, width: int, itemsize: int, *, online: bool) -> str:
    """Return the name under which :mod:`hscl_kernels.tune` keeps a tile, such as ``forward D128 2 bytes N2048``."""
    return f"{_family(kernel, width, itemsize, online=online)}{rows}"


def _family(kernel: str, width: int, itemsize: int, *, online: bool) -> str:
    """Return what the keys of all N have in common."""
    return f"{kernel} D{max(width, WIDTHS[0])} {itemsize} bytes{' online' if online else ''} N"


def tuned_tile(kernel: str, rows: int, width: int, itemsize: int, device: torch.device, *, online: bool) -> Tile | None:
    """Return the tile that was tuned at the N nearest to ``rows``, by their ratio; None if there is none at any N."""
    family = _family(kernel, width, itemsize, online=online)
    found = {
        int(key.removeprefix(family)): tile
        for key, tile in tuned_tiles(card_of(device)).items()
        if key.startswith(family)
    }
    return found[min(found, key=lambda tuned: abs(math.log(tuned / rows)))] if found else None


def tuned_path() -> Path:
    """Return where tuned tiles are kept."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "hscl_kernels" / "tiles.json"


def read_tuned() -> dict[str, Any]:
    """Return the tuned tiles by card and key; empty if nothing was ever tuned.

    Raises
    ------
    ValueError
        The file does not hold tiles.
    """
    path = tuned_path()
    try:
        everything = json.loads(path.read_text(encoding="utf-8"))
        for tiles in everything.values():
            for key, tile in tiles.items():
                if not _KEY.fullmatch(key):
                    raise ValueError(f"{key!r} is not a kernel at some N")
                if any(type(number) is not int or not 0 < number <= 256 for number in Tile(*tile)):
                    raise ValueError(f"{tile} is not a tile")
    except FileNotFoundError:
        return {}
    except (OSError, ValueError, TypeError, AttributeError) as error:
        raise ValueError(f"{path} does not hold tuned tiles ({error}): delete it, or tune again after that") from error
    return everything


@functools.cache
def tuned_tiles(card: str) -> dict[str, Tile]:
    """Return the tuned tiles of a card."""
    return {key: Tile(*tile) for key, tile in read_tuned().get(card, {}).items()}


def card_of(device: torch.device) -> str:
    """Return the name of a card."""
    if target := _ASSUMED.get():
        return f"assumed {target}"  # for which nothing is tuned
    return torch.cuda.get_device_name(device) if device.type == "cuda" else "interpreter"


def target_of(device: torch.device) -> str:
    """Return the compiler target of a device, or the one nearest to it that the tables know (of NVIDIA's, an older)."""
    if target := _ASSUMED.get():
        return target
    if device.type != "cuda":
        return "sm_80"
    if torch.version.hip is not None:
        return amd_target(torch.cuda.get_device_properties(device).gcnArchName)
    major, minor = torch.cuda.get_device_capability(device)
    known = [int(target.removeprefix("sm_")) for target in GPUS if target.startswith("sm_")]
    return f"sm_{max((some for some in known if some <= 10 * major + minor), default=80)}"


def amd_target(architecture: str) -> str:
    """Return the target nearest to an AMD architecture such as ``gfx1101`` or ``gfx942:sramecc+:xnack-``.

    Their numbers are hexadecimal, and near within a family: gfx90a of CDNA, gfx1100 of RDNA 1 to 3, gfx1201 of RDNA 4.
    """

    def number(name: str) -> int:
        return int(name.partition(":")[0].removeprefix("gfx"), 16)

    known = [target for target in GPUS if target.startswith("gfx")]
    return min(known, key=lambda target: abs(number(target) - number(architecture)))


def processors(device: torch.device) -> int:
    """Return the number of multiprocessors; in the interpreter, those of no real card."""
    if target := _ASSUMED.get():
        return GPUS[target].processors
    return torch.cuda.get_device_properties(device).multi_processor_count if device.type == "cuda" else 8


def forward_plan(rows: int, columns: int, tile: int, multiprocessors: int, *, triangular: bool) -> ForwardPlan:
    """Return how the forward sweep of ``rows`` over ``columns`` is cut, with ``tile`` rows along a tile's longer side.

    Super-tiles are as large as they can be with four programs for every multiprocessor, so that a last turn of few is
    a small part of the whole: each slot costs 16 bytes per row.
    """
    row_tiles, column_tiles = -(-rows // tile), -(-columns // tile)

    def plan(tiles: int) -> ForwardPlan:
        supers = -(-column_tiles // tiles)
        if triangular:
            return ForwardPlan(supers * (supers + 1) // 2, supers, supers + 1, tiles)
        return ForwardPlan(supers * -(-row_tiles // tiles), supers, supers, tiles)

    tiles = 1
    while plan(2 * tiles).programs >= _PROGRAMS * multiprocessors:
        tiles *= 2
    return plan(tiles)


def row_owned_plan(rows: int, columns: int, tile: Tile, multiprocessors: int) -> tuple[int, int]:
    """Return how the sweeps whose programs own rows are cut, which are the backward and the online ones.

    They are the number of splits of the columns and of tiles per split. With one program at a time on a multiprocessor,
    a turn of all takes as long as its tiles and about two more to begin and to end; the sums of a split go to memory
    and back, which takes as long as a tile for every 4,096 rows.
    """
    blocks, tiles = -(-rows // tile.rows), -(-columns // tile.columns)

    def cost(splits: int) -> float:
        turns = -(-blocks * splits // multiprocessors)
        return turns * (-(-tiles // splits) + 2) + splits * rows / 4096

    splits = min(range(1, min(tiles, _MOST_SPLITS) + 1), key=cost)
    tiles_per_split = -(-tiles // splits)
    return -(-tiles // tiles_per_split), tiles_per_split


def part_plan(rows: int, tile: Tile) -> tuple[int, int]:
    """Return row blocks per program and programs, so that the prototypes' gradient has at most MOST_PARTS parts."""
    blocks = -(-rows // tile.rows)
    per_program = -(-blocks // MOST_PARTS)
    return per_program, -(-blocks // per_program)


def largest_of(dtype: torch.dtype) -> float:
    """Return the number at which gradients in ``dtype`` are cut off: the largest float16, else 0 for none."""
    return torch.finfo(dtype).max if dtype == torch.float16 else 0.0


def dot_precision(dtype: torch.dtype) -> str:
    """Return the precision of products: of float32 that of torch's own, TF32 only if it is allowed.

    Half precision has one kind only, and on AMD "tf32" fails to compile with it.
    """
    policy = torch.backends.cuda.matmul.fp32_precision
    policy = getattr(torch.backends, "fp32_precision", "ieee") if policy == "none" else policy
    target = _ASSUMED.get()
    amd = target.startswith("gfx") if target else torch.version.hip is not None
    allowed = policy == "tf32" and not amd and not INTERPRETED
    return "tf32" if dtype == torch.float32 and allowed else "ieee"
