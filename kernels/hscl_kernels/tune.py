"""Time tiles of the two sweeps on this card and keep the fastest; without it, the tables are used.

    python -m hscl_kernels.tune [--rows 2048 16384 65536] [--features 128] [--dtype bfloat16]

Each sweep is timed alone, in a CUDA graph, so that the host that launches it does not count. The result is kept per
card and N in ``$XDG_CACHE_HOME/hscl_kernels/tiles.json`` (by default under ``~/.cache``), and every later process uses
that of the nearest N; delete the file to go back to the tables. Another tile adds in another order, so do not tune
between runs that must give the same bits.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import sys
import tempfile
import time
from collections.abc import Callable

import torch

from hscl_kernels import launch
from hscl_kernels.backends import resolve
from hscl_kernels.contrast import triton_form
from hscl_kernels.contrast.temperature import unit_scale
from hscl_kernels.launch import Tile
from hscl_kernels.prototypes.triton_form import row_quantities

_TEMPERATURE, _WEIGHT_THRESHOLD = 0.5, 0.4
_TURNS, _CALLS = 20, 10  # replays of a graph, and calls in it
ROWS = (2048, 16384, 65536)

CANDIDATES = {
    2: [
        *(Tile(rows, columns, 8, stages) for rows in (64, 128) for columns in (32, 64) for stages in (1, 2)),
        *(Tile(64, columns, 4, stages) for columns in (32, 64) for stages in (2, 3)),
        *(Tile(64, 128, 8, stages) for stages in (1, 2)),
        Tile(128, 128, 8, 2),
        Tile(64, 128, 16, 1),  # the tables' on AMD cards whose warps have 32 threads
        Tile(128, 32, 16, 1),
    ],
    4: [
        Tile(16, 16, 4, 1),
        Tile(32, 16, 4, 1),
        Tile(32, 32, 4, 1),
        Tile(32, 32, 8, 1),
        Tile(64, 32, 8, 1),
        Tile(16, 32, 16, 1),
    ],
}


def tune(
    rows: int,
    features: int,
    dtype: torch.dtype,
    device: torch.device,
    *,
    candidates: list[Tile] | None = None,
    report: Callable[[str], None] = print,
) -> dict[str, Tile]:
    """Time every candidate of both sweeps at ``[rows, features]`` and keep the fastest of each.

    Parameters
    ----------
    rows, features
        N and D to tune for.
    dtype
        float16, bfloat16 or float32.
    device
        A GPU (or, for a trial in Triton's interpreter, the CPU).
    candidates
        Tiles to try; :data:`CANDIDATES` by default. Those that do not fit the card are skipped.
    report
        Called with one line for each candidate.

    Returns
    -------
    dict
        The fastest tile for each key of :func:`hscl_kernels.launch.tile_key`.

    Raises
    ------
    ValueError
        The device is no GPU, and the kernels are not interpreted.
    """
    resolve("triton", device)
    known = launch.tuned_tiles(launch.card_of(device))
    fastest = {}
    for kernel, work in _sweeps(rows, features, dtype, device).items():
        key = launch.tile_key(kernel, rows, launch.width_of(features), dtype.itemsize, online=False)
        before = known.pop(key, None)
        times: dict[Tile, float] = {}
        for tile in candidates or CANDIDATES[dtype.itemsize]:
            known[key] = tile
            try:
                times[tile] = _seconds(work, device)
            except Exception as error:  # the compiler's and the driver's: the tile does not fit this card
                report(f"{key} {tuple(tile)}: {type(error).__name__}")
                continue
            report(f"{key} {tuple(tile)}: {times[tile] * 1e6:.1f} us")
        known.pop(key)
        if times:
            fastest[key] = known[key] = min(times, key=lambda tile: times[tile])
        elif before is not None:
            known[key] = before
    _keep(launch.card_of(device), known)
    return fastest


def _sweeps(rows: int, features: int, dtype: torch.dtype, device: torch.device) -> dict[str, Callable[[], object]]:
    """Return functions that launch the forward and the backward sweep of ``hscl_loss``.

    Nothing else is launched but, before a sweep of few rows, what makes its tickets 0 again.
    """
    z = torch.randn(rows, features, device=device, dtype=dtype)
    prototypes = torch.randn(1, features, device=device)
    ids = torch.arange(rows, device=device) % (rows // 2)
    roles = torch.randint(-1, 2, (rows,), device=device)
    own = row_quantities(
        z,
        prototypes,
        roles,
        instance_ids=ids,
        scale=unit_scale(_TEMPERATURE),
        weight_threshold=_WEIGHT_THRESHOLD,
    )
    saved = triton_form.hscl_forward(z, prototypes, ids, roles, None, _TEMPERATURE, 1.0, 1.0, _WEIGHT_THRESHOLD)[5:]
    units, _, _, row_state, largest = saved
    one = torch.ones((), device=device)
    scalars = [torch.empty(1, device=device) for _ in range(5)]
    terms = triton_form.Terms(own, own.shares, None, None, torch.empty_like(row_state), scalars, (1.0, 1.0))

    def forward() -> None:
        """Launch the sweep that batches of so many rows get."""
        if launch.forward_ends_with_terms(rows, device):
            own.tickets.zero_()
            triton_form.sweep_forward_to_losses(ids, terms)
        else:
            triton_form.sweep_forward(own.units, ids, own.shares, own.ranges, online=False)

    return {
        "forward": forward,
        "backward": lambda: triton_form.sweep_backward(
            units,
            ids,
            roles,
            row_state,
            temperature=_TEMPERATURE,
            upstream=(one, None, None),
            largest_anchor=largest,
        ),
    }


def _seconds(work: Callable[[], object], device: torch.device) -> float:
    """Return the median time of a call, after a first one that compiles: on a GPU, of calls in a CUDA graph."""
    work()
    if device.type != "cuda":  # the interpreter's, which say nothing about a GPU
        begun = time.perf_counter()
        work()
        return time.perf_counter() - begun
    torch.cuda.synchronize(device)
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.device(device), torch.cuda.graph(graph):
        for _ in range(_CALLS):
            work()
    graph.replay()
    times = []
    for _ in range(_TURNS):
        start, stop = (torch.cuda.Event(enable_timing=True) for _ in range(2))
        start.record()
        graph.replay()
        stop.record()
        stop.synchronize()
        times.append(start.elapsed_time(stop) / 1e3 / _CALLS)
    return statistics.median(times)


def _keep(card: str, tiles: dict[str, Tile]) -> None:
    """Write a card's tiles into the cache file atomically; those of other cards stay."""
    path = launch.tuned_path()
    path.parent.mkdir(parents=True, exist_ok=True)
    everything = launch.read_tuned() | {card: {key: list(tile) for key, tile in tiles.items()}}
    with tempfile.NamedTemporaryFile("w", dir=path.parent, delete=False, encoding="utf-8") as file:
        json.dump(everything, file, indent=1)
        file.flush()
        os.fsync(file.fileno())
    os.replace(file.name, path)


def main(arguments: list[str] | None = None) -> int:
    """Tune for the first GPU."""
    parser = argparse.ArgumentParser(prog="python -m hscl_kernels.tune", description=__doc__.splitlines()[0])
    parser.add_argument("--rows", type=int, nargs="+", default=ROWS, help="every N to tune for")
    parser.add_argument("--features", type=int, default=128)
    parser.add_argument("--dtype", choices=["float16", "bfloat16", "float32"], default="bfloat16")
    options = parser.parse_args(arguments)
    if not torch.cuda.is_available():
        parser.error("torch finds no GPU here, and there is nothing to tune without one")
    for rows in options.rows:
        tune(rows, options.features, getattr(torch, options.dtype), torch.device("cuda", 0))
    print(f"kept in {launch.tuned_path()}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
