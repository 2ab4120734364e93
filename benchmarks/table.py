"""Writes the README's tables from the JSON of a run: ``python -m benchmarks.table RESULTS.json README.md``."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from benchmarks.peers import FLOOR, MEMORY_LIMIT, OURS, PEERS, RELEASED, SAMPLE_TO_SAMPLE

BEGIN, END = "<!-- benchmarks: written by make bench -->", "<!-- benchmarks: end -->"
LOSS_ROWS = 2048  # whose losses are shown
TIMES_RELEASED = {2048: 5.0, 4096: 8.0, 16384: 12.0}  # targets: how many times as fast as the released objective
TIMES_FLOOR = 1.3
MEMORY_TARGET = (65536, 2**30)
INHERIT = "hscl_loss, inherit"  # the roles that the released objective has
_OURS_HEAD = ["N", "forward, ms", "backward, ms", "floor", "ours / floor", "released / ours", "released / inherit"]

Cells = dict[int, dict[str, dict[str, Any]]]  # by N, then by variant


def section(results: dict[str, Any]) -> str:
    """Return the Markdown of pytest-benchmark's ``results``: one group of tables for each device and dtype."""
    groups: dict[tuple[str, str], Cells] = {}
    for benchmark in results["benchmarks"]:
        info = benchmark["extra_info"]
        if "rows" not in info:  # another question's benchmark
            continue
        groups.setdefault((info["device"], info["dtype"]), {})[info["rows"]] = info["variants"]
    parts = [_group(device, dtype, dict(sorted(cells.items()))) for (device, dtype), cells in groups.items()]
    return "\n\n".join([_machine(results), *parts])


def write(readme: Path, text: str) -> None:
    """Put ``text`` between the two markers of ``readme``."""
    before, _, rest = readme.read_text(encoding="utf-8").partition(BEGIN)
    _, end, after = rest.partition(END)
    if not end:
        raise SystemExit(f"{readme} lacks the line {BEGIN!r} or, after it, {END!r}: add both where the tables belong")
    readme.write_text(f"{before}{BEGIN}\n{text}\n{END}{after}", encoding="utf-8")


def _machine(results: dict[str, Any]) -> str:
    machine, commit = results["machine_info"], results["commit_info"]
    versions = ", ".join(f"{package} {number}" for package, number in machine["versions"].items() if number)
    gpu = f", {machine['gpu']}" if machine["gpu"] else ""
    changed = ", with uncommitted changes" if commit["dirty"] else ""
    return (
        f"{machine['cpu']['brand_raw']}, {machine['threads']} threads{gpu}; Python {machine['python_version']}, "
        f"{versions}; commit {commit['id'][:9]}{changed}, {results['datetime'][:10]}. D = 128, K = 1, tau = 0.5."
    )


def _group(device: str, dtype: str, cells: Cells) -> str:
    names = [name for name in PEERS if any(name in variants for variants in cells.values())]

    def by_rows(value: Callable[[dict[str, Any]], str], name: str) -> list[str]:
        return [value(variants[name]) if name in variants else "" for variants in cells.values()]

    def loss(name: str) -> str:
        value = cells.get(LOSS_ROWS, {}).get(name, {}).get("loss")
        return "" if value is None else f"{value:.4f}"

    rows = [f"N = {n:,}" for n in cells]
    times = [[name, loss(name), *by_rows(lambda v: _number(1e3 * v["total"][1]), name)] for name in names]
    memory = [[name, *by_rows(lambda v: _number(v["memory"] / 2**20), name)] for name in names if name != FLOOR]
    limit = f"{MEMORY_LIMIT / 1e9:.0f} GB" if device == "cpu" else "80 % of the device's memory"
    return "\n\n".join(
        [
            f"**{device.upper()}, {dtype}: forward + backward, milliseconds (medians)**",
            _markdown(["variant", f"loss at {LOSS_ROWS:,}", *rows], times),
            f"An empty cell would need more than {limit} (pytorch-metric-learning sets each positive pair against each "
            "negative one: about 4.3 N^3 floats, 18 GB at N = 1,024) or was left out to keep the run short: "
            f"{_left_out(cells)}. {_agreement(cells)}",
            f"**{device.upper()}, {dtype}: extra memory at the peak, MiB**",
            _markdown(["variant", *rows], memory),
            f"**{device.upper()}, {dtype}: `{OURS}`, median (quartiles)**",
            _markdown(
                _OURS_HEAD,
                [_ours(n, variants) for n, variants in cells.items()],
            ),
            f"Targets. {' '.join(_targets(cells))}",
        ]
    )


def _left_out(cells: Cells) -> str:
    largest: dict[int, list[str]] = {}
    for name, peer in PEERS.items():
        if peer.largest < max(cells):
            largest.setdefault(peer.largest, []).append(name)
    return "; ".join(f"beyond {rows:,} {' and '.join(names)}" for rows, names in sorted(largest.items())) or "none"


def _ours(rows: int, variants: dict[str, dict[str, Any]]) -> list[str]:
    floor = " + ".join(_number(1e3 * variants[FLOOR][part][1]) for part in ("forward", "backward") if FLOOR in variants)
    ratios = (_ratio(variants, *pair) for pair in ((OURS, FLOOR), (RELEASED, OURS), (RELEASED, INHERIT)))
    return [f"{rows:,}", *(_spread(variants[OURS][part]) for part in ("forward", "backward")), floor] + [
        "" if ratio is None else f"{ratio:.2f}" for ratio in ratios
    ]


def _targets(cells: Cells) -> Iterable[str]:
    for rows, least in TIMES_RELEASED.items():
        for name in (OURS, INHERIT):
            ratio = _ratio(cells.get(rows, {}), RELEASED, name)
            if ratio is not None:
                yield f"`{name}` {least:g}x as fast as released at {rows:,}: {_met(ratio >= least, ratio)}."
    for rows, variants in cells.items():
        ratio = _ratio(variants, OURS, FLOOR)
        if ratio is not None:
            yield f"Within {TIMES_FLOOR:g}x of the floor at {rows:,}: {_met(ratio <= TIMES_FLOOR, ratio)}."
    rows, most = MEMORY_TARGET
    if rows in cells:
        extra = cells[rows][OURS]["memory"]
        yield f"{rows:,} rows in under 1 GiB extra: {'met' if extra < most else 'missed'} ({extra / 2**20:.0f} MiB)."


def _met(met: bool, ratio: float) -> str:
    return f"{'met' if met else 'missed'} ({ratio:.2f}x)"


def _agreement(cells: Cells) -> str:
    """Say how closely the variants that compute one and the same sum agree."""
    worst = 0.0
    for variants in cells.values():
        losses = [variants[name]["loss"] for name in SAMPLE_TO_SAMPLE if name in variants]
        worst = max(worst, (max(losses) - min(losses)) / min(losses)) if losses else worst
    return f"From `{next(iter(SAMPLE_TO_SAMPLE))}` down all compute one loss, equal to {worst:.0e} at every N."


def _ratio(variants: dict[str, dict[str, Any]], above: str, below: str) -> float | None:
    if above not in variants or below not in variants:
        return None
    return variants[above]["total"][1] / variants[below]["total"][1]


def _spread(seconds: list[float]) -> str:
    low, median, high = (_number(1e3 * value) for value in seconds)
    return f"{median} ({low}-{high})"


def _number(value: float) -> str:
    return f"{value:,.{0 if value >= 100 else 1 if value >= 10 else 2}f}"


def _markdown(head: list[str], body: list[list[str]]) -> str:
    lines = [head, ["---", *["---:"] * (len(head) - 1)], *body]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


if __name__ == "__main__":
    results_path, readme_path = map(Path, sys.argv[1:])
    write(readme_path, section(json.loads(results_path.read_text(encoding="utf-8"))))
