"""Turns the JSON of ``benchmarks/test_loaders.py`` into Markdown: ``python -m benchmarks.loader_table JSON``."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

PEER = "DataLoader over PNG files"
TIMES_PEER = 20.0  # target: FFCV beside the better DataLoader
SHARE = 0.01  # target: time in the loader beside the time of a step


def section(results: dict[str, Any]) -> str:
    """Return the tables of pytest-benchmark's ``results``: images a second, and the loaders' shares of a step."""
    infos = [benchmark["extra_info"] for benchmark in results["benchmarks"]]
    infos = [info for info in infos if info.get("cache")]
    speeds = {(info["pixels"], info["cache"]): info for info in infos if info["cache"] != "step"}
    shares = [info for info in infos if info["cache"] == "step"]
    return "\n\n".join([_speeds(speeds), _verdicts(speeds), *map(_shares, shares)])


def _speeds(speeds: dict[tuple[int, str], dict[str, Any]]) -> str:
    names = list(dict.fromkeys(name for info in speeds.values() for name in info["variants"]))
    head = ["images a second (quartiles)", *(f"{pixels} px, {cache}" for pixels, cache in speeds)]
    body = [[name, *(_speed(info, name) for info in speeds.values())] for name in names]
    return _markdown(head, body)


def _speed(info: dict[str, Any], name: str) -> str:
    if name not in info["variants"]:
        return ""
    slow, median, fast = (info["images"] / seconds for seconds in reversed(info["variants"][name]))
    return f"{median:,.0f} ({slow:,.0f}-{fast:,.0f})"


def _verdicts(speeds: dict[tuple[int, str], dict[str, Any]]) -> str:
    parts = []
    for (pixels, cache), info in speeds.items():
        medians = {name: seconds[1] for name, seconds in info["variants"].items()}
        peer = min(value for name, value in medians.items() if name.startswith(PEER))
        for name in (name for name in medians if name.startswith("ffcv")):
            ratio = peer / medians[name]
            target = f"`{name}` {TIMES_PEER:.0f}x as fast as the faster DataLoader at {pixels} px, {cache}"
            parts.append(f"{target}: {_met(ratio >= TIMES_PEER)} ({ratio:.1f}x).")
    return "Targets. " + " ".join(parts)


def _shares(info: dict[str, Any]) -> str:
    head = ["loader", "next(batch), ms", "training step, ms", "share", f"under {SHARE:.0%}"]
    body = [
        [name, f"{1e3 * wait:.3f}", f"{1e3 * step:,.0f}", f"{wait / step:.2%}", _met(wait < SHARE * step)]
        for name, (wait, step) in info["variants"].items()
    ]
    return _markdown(head, body)


def _met(reached: bool) -> str:
    return "met" if reached else "missed"


def _markdown(head: list[str], body: list[list[str]]) -> str:
    lines = [head, ["---", *["---:"] * (len(head) - 1)], *body]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


if __name__ == "__main__":
    print(section(json.loads(Path(sys.argv[1]).read_text(encoding="utf-8"))))
