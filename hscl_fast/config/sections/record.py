"""``record``: what a run writes while it trains."""

from __future__ import annotations

from dataclasses import dataclass

from hscl_fast.config.sections.requirements import require_counts


@dataclass(frozen=True)
class RecordConfig:
    """Logs and checkpoints that a run writes while it trains.

    Parameters
    ----------
    log_every
        Steps between two rows of ``metrics.jsonl``. Only then are the metrics read from the device.
    checkpoint_every
        Steps between two checkpoints.
    validate_every
        Epochs between two validations on the held-out labelled images, by which the best checkpoint is chosen.
    tensorboard
        Write TensorBoard event files beside ``metrics.jsonl`` (needs the extra ``tensorboard``).
    """

    log_every: int = 10
    checkpoint_every: int = 100
    validate_every: int = 5
    tensorboard: bool = False

    def __post_init__(self) -> None:
        require_counts("record", self, ("log_every", "checkpoint_every", "validate_every"))
