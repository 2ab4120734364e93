"""The tables of ``test_objective.py`` and ``test_gpu_objective.py``."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from benchmarks.markdown import machine, number, ratio_verdict, spread, table, targets
from benchmarks.peers import FLOOR, GPU_ONLY, MEMORY_LIMIT, OURS, PEERS, RELEASED, SAMPLE_TO_SAMPLE

LOSS_ROWS = 2048  # whose losses are shown
TIMES_RELEASED = {2048: 15.0, 4096: 8.0, 16384: 30.0}  # targets: how many times as fast as the released objective
TIMES_FLOOR = 1.2
MEMORY_TARGET = (65536, 2**30)
INHERIT = "hscl_loss, inherit"  # the roles that the released objective has
_OURS_HEAD = ["N", "forward, ms", "backward, ms", "recompute floor, ms"]
_OURS_HEAD += ["ours / recompute floor", "released / ours", "released / inherit"]

Cells = dict[int, dict[str, dict[str, Any]]]  # by N, then by variant


def section(results: dict[str, Any]) -> str:
    """Return the Markdown of pytest-benchmark's ``results``: one group of tables for each device and dtype."""
    groups = grouped(results)
    parts = [_group(device, dtype, cells) for (device, dtype), cells in groups.items()]
    figures = [info for benchmark in results["benchmarks"] if "kernels" in (info := benchmark["extra_info"])]
    parts += [_kernels(figures), _not_run(figures)] if figures else []
    return "\n\n".join([f"{machine(results)} D = 128, K = 1, tau = 0.5.", *parts])


def grouped(results: dict[str, Any]) -> dict[tuple[str, str], Cells]:
    """Return the variants of pytest-benchmark's ``results`` by device and dtype, then by N."""
    groups: dict[tuple[str, str], Cells] = {}
    for benchmark in results["benchmarks"]:
        info = benchmark["extra_info"]
        groups.setdefault((info["device"], info["dtype"]), {})[info["rows"]] = info["variants"]
    return {group: dict(sorted(cells.items())) for group, cells in groups.items()}


def _kernels(infos: list[dict[str, Any]]) -> str:
    """Return the table of the GPU's kernels: of each sweep also the rate of its products."""
    head = ["kernel", "dtype", "N", "launches", "us", "TFLOP/s"]
    body = []
    for info in infos:
        for name, row in info["kernels"].items():
            rate = number(row["tflops"]) if "tflops" in row else ""
            figures = [f"{info['rows']:,}", f"{row['launches']:g}", number(1e6 * row["seconds"]), rate]
            body.append([f"`{name}`", info["dtype"], *figures])
    return "\n\n".join([f"**`{OURS}`, kernel by kernel (torch's profiler; means of 10)**", table(head, body, words=2)])


def _not_run(infos: list[dict[str, Any]]) -> str:
    """Say which peers were left out or not captured in a CUDA graph, and why."""
    sentences = []
    for key, words in (("left_out", "not run"), ("eager", "timed outside a CUDA graph")):
        reasons = {(name, info["dtype"]): why for info in infos for name, why in info[key].items()}
        sentences += [f"- {name}, {dtype}: {words} ({why})." for (name, dtype), why in reasons.items()]
    return "\n".join(sentences) or "All peers ran, in CUDA graphs."


def _group(device: str, dtype: str, cells: Cells) -> str:
    names = [name for name in (*PEERS, *GPU_ONLY) if any(name in variants for variants in cells.values())]

    def by_rows(value: Callable[[dict[str, Any]], str], name: str) -> list[str]:
        return [value(variants[name]) if name in variants else "" for variants in cells.values()]

    def loss(name: str) -> str:
        value = cells.get(LOSS_ROWS, {}).get(name, {}).get("loss")
        return "" if value is None else f"{value:.4f}"

    rows = [f"N = {n:,}" for n in cells]
    times = [
        [name, loss(name), *by_rows(lambda v: spread([1e3 * t for t in v["total"]], v["rounds"]), name)]
        for name in names
    ]
    memory = [[name, *by_rows(lambda v: number(v["memory"] / 2**20), name)] for name in names if name != FLOOR]
    limit = f"{MEMORY_LIMIT / 1e9:.0f} GB" if device == "cpu" else "80 % of the device's memory"
    return "\n\n".join(
        [
            f"**{device.upper()}, {dtype}: forward + backward, milliseconds: median (quartiles; n)**",
            table(["variant", f"loss at {LOSS_ROWS:,}", *rows], times),
            f"An empty cell would need more than {limit} (pytorch-metric-learning sets each positive pair against each "
            "negative one: about 4.3 N^3 floats, 18 GB at N = 1,024) or was left out to keep the run short: "
            f"{_left_out(cells)}. {_agreement(cells)}",
            f"**{device.upper()}, {dtype}: extra memory at the peak, MiB**",
            table(["variant", *rows], memory),
            f"**{device.upper()}, {dtype}: `{OURS}`, median (quartiles; n rounds)**",
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
    own = variants[OURS]
    times = [spread([1e3 * seconds for seconds in own[part]], own["rounds"]) for part in ("forward", "backward")]
    return [f"{rows:,}", *times, floor, *("" if ratio is None else f"{ratio:.2f}" for ratio in ratios)]


def _targets(cells: Cells) -> Iterable[str]:
    for rows, least in TIMES_RELEASED.items():
        for name in (OURS, INHERIT):
            ratio = _ratio(cells.get(rows, {}), RELEASED, name)
            if ratio is not None:
                yield f"`{name}` {least:g}x as fast as released at {rows:,}: {ratio_verdict(ratio >= least, ratio)}."
    for rows, variants in cells.items():
        ratio = _ratio(variants, OURS, FLOOR)
        if ratio is not None:
            verdict = ratio_verdict(ratio <= TIMES_FLOOR, ratio)
            yield f"Within {TIMES_FLOOR:g}x of the recompute floor at {rows:,}: {verdict}."
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
