"""The figures of one finished run, as its cell needs them."""

from __future__ import annotations

import json
import os
import platform
import re
import time
from pathlib import Path
from typing import Any

from hscl_fast.runs.run import Run


def measured(run: Run, total_seconds: float, cpu_seconds: float) -> dict[str, Any]:
    """Return the figures of a finished run as JSON values, without a path of this machine.

    Parameters
    ----------
    run
        The run; its figures are read from its files.
    total_seconds, cpu_seconds
        From the configuration to the report, and the CPU time of it.
    """
    summary = json.loads(run.directory.summary.read_text(encoding="utf-8"))
    made_on = json.loads((run.path / "env.json").read_text(encoding="utf-8"))
    return {
        **{name: summary[name] for name in ("auroc", "auroc_mean", "auroc_per_class", "scoring", "counts")},
        "steps": summary["step"],
        "image_size": summary["about"]["image_size"],
        "train_seconds": round(summary["train_seconds"], 1),
        "total_seconds": round(total_seconds, 1),
        "cpu_seconds": round(cpu_seconds, 1),
        "threads": run.config.runtime.threads or made_on["threads"],
        "cpu": cpu_name(),
        "load_average": round(os.getloadavg()[0], 1),
        **{name: made_on[name] for name in ("devices", "torch", "hscl_fast", "commit")},
        "date": time.strftime("%Y-%m-%d"),
    }


def cpu_name() -> str:
    """Return the CPU's name as Linux knows it, or the machine's architecture."""
    try:
        found = re.search(r"^model name\s*:\s*(.+)$", Path("/proc/cpuinfo").read_text(encoding="utf-8"), re.M)
    except OSError:
        found = None
    return found[1].strip() if found else platform.machine()
