"""The table of ``test_startup.py``."""

from __future__ import annotations

from typing import Any

from benchmarks.markdown import machine, spread, table, targets
from benchmarks.startup import DATA_LIST, HELP, PREDICT, PREDICT_FROZEN, WRONG_FLAG

TARGETS = {HELP: 0.5, WRONG_FLAG: 0.5, DATA_LIST: 1.0, PREDICT: 3.0, PREDICT_FROZEN: 3.0}  # seconds of CPU time


def section(results: dict[str, Any]) -> str:
    """Return the Markdown of pytest-benchmark's ``results``."""
    variants = results["benchmarks"][0]["extra_info"]["variants"]
    head = ["command", "seconds of CPU time, user and system: median (quartiles; n)"]
    body = [[name if name == WRONG_FLAG else f"`{name}`", _spread(row)] for name, row in variants.items()]
    verdicts = (_verdict(name, variants[name]["cpu"][1]) for name in TARGETS if name in variants)
    return "\n\n".join([machine(results), table(head, body), targets(verdicts)])


def _spread(row: dict[str, Any]) -> str:
    return spread(row["cpu"], row["rounds"])


def _verdict(name: str, seconds: float) -> str:
    verdict = "met" if seconds < TARGETS[name] else "missed"
    return f"{name} under {TARGETS[name]:g} s of CPU time: {verdict} ({seconds:.2f} s)."
