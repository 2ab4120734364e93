"""Writes TensorBoard event files, if the extra ``tensorboard`` is installed."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from hscl_fast.errors import UsageError


class EventWriter:
    """Writes the rows of ``metrics.jsonl`` as scalars."""

    def __init__(self, directory: Path) -> None:
        from torch.utils.tensorboard import SummaryWriter

        self._writer = SummaryWriter(str(directory))

    def write(self, row: dict[str, Any]) -> None:
        """Write every figure of a log row at its step."""
        for name, value in row.items():
            if name != "step":
                self._writer.add_scalar(f"train/{name}", value, row["step"])
        self._writer.flush()


def open_writer(run: Path) -> EventWriter:
    """Return a writer into ``RUN/tensorboard``.

    Raises
    ------
    UsageError
        The extra ``tensorboard`` is not installed.
    """
    try:
        return EventWriter(run / "tensorboard")
    except ImportError as error:
        raise UsageError(
            "--record.tensorboard is on, but the package tensorboard is not installed. Install it with "
            "`pip install 'hscl-fast[tensorboard]'`, or leave the flag out: metrics.jsonl has the same figures."
        ) from error
