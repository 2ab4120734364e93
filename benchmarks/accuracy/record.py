"""The figures of one finished run."""

from __future__ import annotations

import json
import os
import time
from typing import Any

from benchmarks.accuracy.flops import training_flops, view_flops
from hscl_fast.method.augment import VIEWS
from hscl_fast.reproduce.record import cpu_name
from hscl_fast.runs.calibration import load_calibration
from hscl_fast.runs.run import Run


def measured(run: Run, total_seconds: float, cpu_seconds: float) -> dict[str, Any]:
    """Return the figures of a finished run as JSON values, without a path of this machine.

    Parameters
    ----------
    run
        The run; its figures are read from its files.
    total_seconds
        From the configuration to the report, with its peers.
    cpu_seconds
        CPU time of the same, all threads together. With one thread it is what a machine without other work takes.

    Returns
    -------
    dict
        Each peer has ``auroc``, ``auroc_mean`` and ``seconds``.
    """
    config, directory = run.config, run.directory
    summary = json.loads(directory.summary.read_text(encoding="utf-8"))
    made_on = json.loads((directory.path / "env.json").read_text(encoding="utf-8"))
    calibration, _ = load_calibration(directory, "train again")
    counts = summary["counts"]
    images = counts["labelled_normal"] + counts["unlabelled"] + counts["labelled_abnormal"]
    views = summary["step"] * min(config.optim.batch_size, images) * VIEWS * config.augment.rotations
    view = view_flops(config, calibration.image_size)
    peers = {
        name: {figure: peer[figure] for figure in ("auroc", "auroc_mean", "seconds")}
        for name, peer in summary["baselines"].items()
        if peer["auroc"] is not None
    }
    return {
        "normal_class_name": summary["normal_class"],
        "labelled_ratio": config.data.labelled_ratio,
        "pollution_ratio": config.data.pollution_ratio,
        "protocol": config.data.protocol,
        "image_size": calibration.image_size,
        "encoder": config.model.encoder,
        "scoring": summary["scoring"],
        "auroc": summary["auroc"],
        "auroc_mean": summary["auroc_mean"],
        "held_out_auroc": summary["held_out_auroc_best"],
        "images": images,
        "steps": summary["step"],
        "views": views,
        "view_flops": view.encoder + view.heads,
        "training_flops": training_flops(config, view, views=views, images=images),
        "train_seconds": round(summary["train_seconds"], 1),
        "total_seconds": round(total_seconds, 1),
        "cpu_seconds": round(cpu_seconds, 1),
        "score_images_per_second": summary["score_images_per_second"],
        "peers": peers,
        "threads": config.runtime.threads or made_on["threads"],
        "cpu": cpu_name(),
        "cores": os.cpu_count(),
        "load_average": round(os.getloadavg()[0], 1),
        "devices": made_on["devices"],
        "torch": made_on["torch"],
        "hscl_fast": made_on["hscl_fast"],
        "commit": made_on["commit"],
        "date": time.strftime("%Y-%m-%d"),
    }
