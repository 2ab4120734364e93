"""The comparator of a run: built from its configuration, and loaded from its checkpoint."""

from __future__ import annotations

import shlex

import torch

from hscl_fast.comparators.comparator import Comparator, Setting
from hscl_fast.comparators.registry import build_comparator
from hscl_fast.comparators.scorer import ComparatorScorer
from hscl_fast.config.sections import Config
from hscl_fast.device import Execution, resolve_execution
from hscl_fast.errors import UsageError
from hscl_fast.runs.checkpoint import load_checkpoint
from hscl_fast.runs.directory import RunDirectory
from hscl_fast.runs.trained import read_state
from hscl_fast.training.state import TrainingState

LAST = "last"
STEPS = "total_steps"  # in the info of a checkpoint: the training is finished


def comparator_of(config: Config, image_size: int, total_steps: int, execution: Execution) -> Comparator:
    """Return the comparator that ``config.method`` names, untrained."""
    setting = Setting(config, config.method.mode, execution, image_size, total_steps)
    return build_comparator(config.method.name, setting)


def load_comparator(
    directory: RunDirectory, config: Config, image_size: int, device: torch.device
) -> tuple[ComparatorScorer, TrainingState]:
    """Return the trained comparator of a run, and the state of its training.

    Raises
    ------
    UsageError
        There is no checkpoint, it is of an unfinished training, or it does not fit the configuration.
    """
    path = directory.checkpoint(LAST)
    checkpoint = load_checkpoint(path)
    state, total = read_state(checkpoint.info, directory), checkpoint.info.get(STEPS)
    if type(total) is not int:
        raise UsageError(
            f"{directory.path} is not trained to its end. Continue it with `hscl train --out "
            f"{shlex.quote(str(directory.path))} --resume`."
        )
    execution = resolve_execution(device, precision=config.runtime.precision, compile=config.runtime.compile)
    comparator = comparator_of(config, image_size, total, execution)
    try:
        comparator.load(checkpoint.weights)
    except (ValueError, RuntimeError, KeyError, TypeError) as error:
        raise UsageError(
            f"The checkpoint in {path} does not fit this run's configuration: it {str(error).splitlines()[0]}. Restore "
            "it from a copy, or train again with --overwrite."
        ) from error
    return ComparatorScorer(config.method.name, comparator), state
