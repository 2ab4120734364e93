"""The tables of ``test_loaders.py``."""

from __future__ import annotations

from typing import Any

from benchmarks.markdown import machine, ratio_verdict, table, targets

PEER = "DataLoader over PNG files"
TIMES_PEER = 20.0  # target: FFCV beside the better DataLoader
SHARE = 0.01  # target: time in the loader beside the time of a step


def section(results: dict[str, Any]) -> str:
    """Return the tables of pytest-benchmark's ``results``: images per second, and the loaders' shares of a step."""
    infos = [{"rounds": b["stats"]["rounds"], **b["extra_info"]} for b in results["benchmarks"]]
    speeds = {(info["pixels"], info["cache"]): info for info in infos if info["cache"] != "step"}
    shares = [info for info in infos if info["cache"] == "step"]
    return "\n\n".join([machine(results), _speeds(speeds), _verdicts(speeds), *map(_shares, shares)])


def _speeds(speeds: dict[tuple[int, str], dict[str, Any]]) -> str:
    names = list(dict.fromkeys(name for info in speeds.values() for name in info["variants"]))
    head = ["images per second: median (quartiles; n)", *(f"{pixels} px, {cache}" for pixels, cache in speeds)]
    body = [[name, *(_speed(info, name) for info in speeds.values())] for name in names]
    return table(head, body)


def _speed(info: dict[str, Any], name: str) -> str:
    if name not in info["variants"]:
        return ""
    slow, median, fast = (info["images"] / seconds for seconds in reversed(info["variants"][name]))
    return f"{median:,.0f} ({slow:,.0f}-{fast:,.0f}; {info['rounds']})"


def _verdicts(speeds: dict[tuple[int, str], dict[str, Any]]) -> str:
    parts = []
    for (pixels, cache), info in speeds.items():
        medians = {name: seconds[1] for name, seconds in info["variants"].items()}
        peer = min(value for name, value in medians.items() if name.startswith(PEER))
        for name in (name for name in medians if name.startswith("ffcv")):
            ratio = peer / medians[name]
            target = f"`{name}` {TIMES_PEER:.0f}x as fast as the faster DataLoader at {pixels} px, {cache}"
            parts.append(f"{target}: {ratio_verdict(ratio >= TIMES_PEER, ratio)}.")
    return targets(parts)


def _shares(info: dict[str, Any]) -> str:
    head = ["loader", "next(batch), ms", "training step, ms", "share", f"under {SHARE:.0%}"]
    body = [
        [name, f"{1e3 * wait:.3f}", f"{1e3 * step:,.0f}", f"{wait / step:.2%}", _met(wait < SHARE * step)]
        for name, (wait, step) in info["variants"].items()
    ]
    return table(head, body)


def _met(reached: bool) -> str:
    return "met" if reached else "missed"
