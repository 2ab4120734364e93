"""The table of ``test_roofline.py``."""

from __future__ import annotations

from typing import Any

from hscl_kernels.gpus import GPUS

from benchmarks.markdown import machine, number, table


def section(results: dict[str, Any]) -> str:
    """Return the Markdown of pytest-benchmark's ``results``."""
    info = results["benchmarks"][0]["extra_info"]
    steps = info["steps"]
    targets = list(next(iter(steps.values()))["predicted"])
    head = ["counted", "launches", "GB moved", "TFLOP", "host waits", *(f"*{GPUS[t].card}, ms*" for t in targets)]
    body = [[name, *_counts(s), *(number(1e3 * s["predicted"][t]) for t in targets)] for name, s in steps.items()]
    return "\n\n".join([machine(results), table(head, body), _formula(info)])


def _counts(step: dict[str, Any]) -> list[str]:
    waits = sum(step["waits"].values())
    return [f"{step['launches']:,}", number(step["bytes"] / 1e9), number(step["flops"] / 1e12), f"{waits:,}"]


def _formula(info: dict[str, Any]) -> str:
    waits = next(iter(info["steps"].values()))["waits"]
    causes = ", ".join(f"{number} {cause}" for cause, number in sorted(waits.items(), key=lambda item: -item[1]))
    return (
        "The columns in italics are **predicted, not measured**: device = sum over launches of max(FLOPs / the unit's "
        "published rate, bytes / published bandwidth), our kernels as audited; eager = max(device, launches x "
        f"{1e6 * info['launch']:g} us) + waits x {1e6 * info['wait']:g} us (both assumed); compiled = device, for the "
        "kernels that Inductor plans (by its rules for the CPU), launched as one CUDA graph. Waits of the released "
        f"step: {causes}."
    )
