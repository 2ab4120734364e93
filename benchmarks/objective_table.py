"""The tables of ``test_objective.py`` and ``test_gpu_objective.py``."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from benchmarks.markdown import machine, number, ratio_verdict, table, targets
from benchmarks.peers import FLOOR, MEMORY_LIMIT, OURS, PEERS, RELEASED, SAMPLE_TO_SAMPLE

LOSS_ROWS = 2048  # whose losses are shown
TIMES_RELEASED = {2048: 5.0, 4096: 8.0, 16384: 12.0}  # targets: how many times as fast as the released objective
TIMES_FLOOR = 1.3
MEMORY_TARGET = (65536, 2**30)
INHERIT = "hscl_loss, inherit"  # the roles that the released objective has
_OURS_HEAD = ["N", "n", "forward, ms", "backward, ms", "floor", "ours / floor", "released / ours", "released / inherit"]

Cells = dict[int, dict[str, dict[str, Any]]]  # by N, then by variant


def section(results: dict[str, Any]) -> str:
    """Return the Markdown of pytest-benchmark's ``results``: one group of tables for each device and dtype."""
    groups: dict[tuple[str, str], Cells] = {}
    for benchmark in results["benchmarks"]:
        info = benchmark["extra_info"]
        groups.setdefault((info["device"], info["dtype"]), {})[info["rows"]] = info["variants"]
    parts = [_group(device, dtype, dict(sorted(cells.items()))) for (device, dtype), cells in groups.items()]
    return "\n\n".join([f"{machine(results)} D = 128, K = 1, tau = 0.5.", *parts])


def _group(device: str, dtype: str, cells: Cells) -> str:
    names = [name for name in PEERS if any(name in variants for variants in cells.values())]

    def by_rows(value: Callable[[dict[str, Any]], str], name: str) -> list[str]:
        return [value(variants[name]) if name in variants else "" for variants in cells.values()]

    def loss(name: str) -> str:
        value = cells.get(LOSS_ROWS, {}).get(name, {}).get("loss")
        return "" if value is None else f"{value:.4f}"

    rows = [f"N = {n:,}" for n in cells]
    times = [[name, loss(name), *by_rows(lambda v: number(1e3 * v["total"][1]), name)] for name in names]
    memory = [[name, *by_rows(lambda v: number(v["memory"] / 2**20), name)] for name in names if name != FLOOR]
    limit = f"{MEMORY_LIMIT / 1e9:.0f} GB" if device == "cpu" else "80 % of the device's memory"
    return "\n\n".join(
        [
            f"**{device.upper()}, {dtype}: forward + backward, milliseconds (medians)**",
            table(["variant", f"loss at {LOSS_ROWS:,}", *rows], times),
            f"An empty cell would need more than {limit} (pytorch-metric-learning sets each positive pair against each "
            "negative one: about 4.3 N^3 floats, 18 GB at N = 1,024) or was left out to keep the run short: "
            f"{_left_out(cells)}. {_agreement(cells)}",
            f"**{device.upper()}, {dtype}: extra memory at the peak, MiB**",
            table(["variant", *rows], memory),
            f"**{device.upper()}, {dtype}: `{OURS}`, median (quartiles) of n rounds**",
            table(
                _OURS_HEAD,
                [_ours(n, variants) for n, variants in cells.items()],
            ),
            targets(_targets(cells)),
        ]
    )


def _left_out(cells: Cells) -> str:
    largest: dict[int, list[str]] = {}
    for name, peer in PEERS.items():
        if peer.largest < max(cells):
            largest.setdefault(peer.largest, []).append(name)
    return "; ".join(f"beyond {rows:,} {' and '.join(names)}" for rows, names in sorted(largest.items())) or "none"


def _ours(rows: int, variants: dict[str, dict[str, Any]]) -> list[str]:
    floor = " + ".join(number(1e3 * variants[FLOOR][part][1]) for part in ("forward", "backward") if FLOOR in variants)
    ratios = (_ratio(variants, *pair) for pair in ((OURS, FLOOR), (RELEASED, OURS), (RELEASED, INHERIT)))
    n = str(variants[OURS]["rounds"])
    return [f"{rows:,}", n, *(_spread(variants[OURS][part]) for part in ("forward", "backward")), floor] + [
        "" if ratio is None else f"{ratio:.2f}" for ratio in ratios
    ]


def _targets(cells: Cells) -> Iterable[str]:
    for rows, least in TIMES_RELEASED.items():
        for name in (OURS, INHERIT):
            ratio = _ratio(cells.get(rows, {}), RELEASED, name)
            if ratio is not None:
                yield f"`{name}` {least:g}x as fast as released at {rows:,}: {ratio_verdict(ratio >= least, ratio)}."
    for rows, variants in cells.items():
        ratio = _ratio(variants, OURS, FLOOR)
        if ratio is not None:
            yield f"Within {TIMES_FLOOR:g}x of the floor at {rows:,}: {ratio_verdict(ratio <= TIMES_FLOOR, ratio)}."
    rows, most = MEMORY_TARGET
    if rows in cells:
        extra = cells[rows][OURS]["memory"]
        yield f"{rows:,} rows in under 1 GiB extra: {'met' if extra < most else 'missed'} ({extra / 2**20:.0f} MiB)."


def _agreement(cells: Cells) -> str:
    """Say how closely the variants that compute one and the same sum agree."""
    worst = 0.0
    for variants in cells.values():
        losses = [variants[name]["loss"] for name in SAMPLE_TO_SAMPLE if name in variants]
        worst = max(worst, (max(losses) - min(losses)) / min(losses)) if losses else worst
    first = next(iter(SAMPLE_TO_SAMPLE))
    return f"The variants from `{first}` down compute the same loss; they agree to {worst:.0e} at every N."


def _ratio(variants: dict[str, dict[str, Any]], above: str, below: str) -> float | None:
    if above not in variants or below not in variants:
        return None
    return variants[above]["total"][1] / variants[below]["total"][1]


def _spread(seconds: list[float]) -> str:
    low, median, high = (number(1e3 * value) for value in seconds)
    return f"{median} ({low}-{high})"
