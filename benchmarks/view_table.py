"""The tables of ``test_views.py`` and ``test_gpu_views.py``."""

from __future__ import annotations

from typing import Any

from benchmarks.markdown import machine, number, ratio_verdict, spread, table, targets
from benchmarks.view_peers import OURS, OURS_DRAWN, PER_IMAGE, RELEASED

# Which of ours is how many times as fast as which peer: the released layers get their draws too, torchvision draws.
TARGETS = ((OURS, RELEASED, 4.0), (OURS_DRAWN, PER_IMAGE, 10.0))


def section(results: dict[str, Any]) -> str:
    """Return the Markdown of pytest-benchmark's ``results``: one table for each device."""
    devices: dict[str, dict[int, dict[str, Any]]] = {}
    for benchmark in results["benchmarks"]:
        info = benchmark["extra_info"]
        devices.setdefault(info["device"], {})[info["side"]] = info
    return "\n\n".join([machine(results), *(_group(device, infos) for device, infos in devices.items())])


def _group(device: str, infos: dict[int, dict[str, Any]]) -> str:
    names = list(dict.fromkeys(name for info in infos.values() for name in info["variants"]))
    head = [f"views per second, {device.upper()}: median (quartiles; n)", *(f"{side} px" for side in infos)]
    head += [f"extra MiB at {side} px" for side in infos]
    body = [
        [name, *(_speed(info, name) for info in infos.values()), *(_memory(info, name) for info in infos.values())]
        for name in names
    ]
    difference = max(info["difference"] for info in infos.values())
    agreement = f"The views of `{OURS}` and of the {RELEASED} differ by {difference:.0e} at most, of a range of 2."
    return "\n\n".join([table(head, body), agreement, targets(_verdicts(infos))])


def _speed(info: dict[str, Any], name: str) -> str:
    if name not in info["variants"]:
        return ""
    row = info["variants"][name]
    return spread([info["views"] / seconds for seconds in reversed(row["forward"])], row["rounds"])


def _memory(info: dict[str, Any], name: str) -> str:
    return number(info["variants"][name]["memory"] / 2**20) if name in info["variants"] else ""


def _verdicts(infos: dict[int, dict[str, Any]]) -> list[str]:
    verdicts = []
    for side, info in infos.items():
        for ours, peer, least in TARGETS:
            if peer in info["variants"]:
                ratio = info["variants"][peer]["forward"][1] / info["variants"][ours]["forward"][1]
                target = f"`{ours}` {least:g}x as fast as {peer} at {side} px"
                verdicts.append(f"{target}: {ratio_verdict(ratio >= least, ratio)}.")
    return verdicts
