"""When and where a run is evaluated."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime

import torch

from hscl_fast.config.sections import Config
from hscl_fast.counted import counted
from hscl_fast.data.decode import lazy_files
from hscl_fast.data.originals import Originals
from hscl_fast.data.shrinking import median_size
from hscl_fast.evaluation.about import About
from hscl_fast.runs.directory import RunDirectory
from hscl_fast.training.schedule import schedule_length


def describe(
    directory: RunDirectory,
    config: Config,
    device: torch.device,
    image_size: int,
    names: Sequence[str],
    originals: Originals | None,
) -> About:
    """Return the circumstances of an evaluation that is made now.

    Parameters
    ----------
    directory, config
        The run.
    device, image_size
        What its network scores on, and at which size it sees the images.
    names, originals
        Images whose original sizes are to be told, and their files.
    """
    found = None
    if originals is not None:
        found = median_size(lazy_files([originals.path(name) for name in names], originals.decoding))
    return About(
        date=datetime.now(UTC).isoformat(timespec="seconds"),
        total_steps=_total_steps(directory, config),
        device=_name_of(device),
        image_size=image_size,
        original_size=found,
    )


def _total_steps(directory: RunDirectory, config: Config) -> int | None:
    """Return the steps of the whole training, whose log says how many there are per epoch; None without a log."""
    rows = [row for row in directory.read_metrics() if row.get("epoch")]
    return schedule_length(config.optim, round(rows[-1]["step"] / rows[-1]["epoch"])) if rows else None


def _name_of(device: torch.device) -> str:
    if device.type == "cuda":
        return torch.cuda.get_device_name(device)
    return f"{device.type.upper()}, {counted(torch.get_num_threads(), 'thread')}"
