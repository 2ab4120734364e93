"""The table of ``test_ablation.py``."""

from __future__ import annotations

from typing import Any

from benchmarks.ablation import BASE
from benchmarks.markdown import machine, spread, table


def section(results: dict[str, Any]) -> str:
    """Return the Markdown of pytest-benchmark's ``results``."""
    info = results["benchmarks"][0]["extra_info"]
    usual = info["variants"][BASE]["total"][1]
    title = f"{info['images']} images of {info['side']} px, resnet18 of {info['width']} channels"
    head = [f"one step, {title}", "milliseconds: median (quartiles; n)", "relative time", "loss of the first step"]
    body = [[name if name == BASE else _title(name), *_row(row, usual)] for name, row in info["variants"].items()]
    return "\n\n".join([machine(results), table(head, body)])


def _title(name: str) -> str:
    return name if name.startswith("compiled") else f"without {name}"


def _row(row: dict[str, Any], usual: float) -> list[str]:
    time = spread([1e3 * seconds for seconds in row["total"]], row["rounds"])
    return [time, f"{row['total'][1] / usual:.2f}", f"{row['loss']:.5f}"]
