"""How the kernels are cut up on each architecture: tiles, warps, pipeline stages and grids.

The tables come from the audit (``python -m hscl_kernels.audit``): the fastest prediction among the tiles that compile
without a spill for their target.
"""

from __future__ import annotations

from typing import NamedTuple

import torch

from hscl_kernels.backends import INTERPRETED

MOST_PARTS = 512  # programs whose parts of the prototypes' gradient the last launch adds


class Tile(NamedTuple):
    """A kernel's tile, and the warps and pipeline stages it is compiled with."""

    rows: int
    columns: int
    warps: int
    stages: int


class ForwardPlan(NamedTuple):
    """The forward sweep's grid: square super-tiles of ``tiles`` x ``tiles`` tiles, ``supers`` of them along a row."""

    programs: int
    supers: int
    slots: int
    tiles: int


def width_of(features: int) -> int:
    """Return the features rounded up to a power of two, at least 16: what the tensor cores take."""
    return max(16, 1 << (features - 1).bit_length())


def forward_tile(width: int, dtype: torch.dtype) -> Tile:
    return Tile(64, 64, 4, 2)


def backward_tile(width: int, dtype: torch.dtype) -> Tile:
    return Tile(64, 64, 4, 2)


def row_tiles(features: int) -> Tile:
    return Tile(32, 32, 4, 1)


def processors(device: torch.device) -> int:
    return 132


def forward_plan(rows: int, columns: int, tile: int, device: torch.device, *, triangular: bool) -> ForwardPlan:
    """Return how the forward sweep is cut.

    Super-tiles are as large as leaves every multiprocessor four programs: each slot costs 16 bytes a row.
    """
    tiles_a_side = -(-columns // tile)
    wanted = 4 * processors(device)
    tiles = 1
    while True:
        supers = -(-tiles_a_side // (2 * tiles))
        row_supers = -(-rows // (2 * tiles * tile))
        programs = supers * (supers + 1) // 2 if triangular else supers * row_supers
        if programs < wanted:
            break
        tiles *= 2
    supers = -(-tiles_a_side // tiles)
    if triangular:
        return ForwardPlan(supers * (supers + 1) // 2, supers, supers + 1, tiles)
    return ForwardPlan(supers * -(-rows // (tiles * tile)), supers, supers, tiles)


def backward_plan(rows: int, columns: int, tile: Tile, device: torch.device) -> tuple[int, int]:
    """Return into how many splits the columns are cut, and how many tiles each has."""
    blocks, tiles = -(-rows // tile.rows), -(-columns // tile.columns)
    splits = max(1, min(tiles, 2 * processors(device) // blocks))
    tiles_a_split = -(-tiles // splits)
    return -(-tiles // tiles_a_split), tiles_a_split


def dot_precision(dtype: torch.dtype) -> str:
    """Return how float32 products are formed: as torch's own matrix products are allowed to be."""
    if torch.version.hip is not None or INTERPRETED:
        return "ieee"
    return "tf32" if torch.backends.cuda.matmul.allow_tf32 else "tf32x3"
