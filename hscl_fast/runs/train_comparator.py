"""Trains a comparator in a run, or goes on with it."""

from __future__ import annotations

import numpy as np

from hscl_fast.comparators.comparator import VisibleImages
from hscl_fast.config.methods import COMPARATORS
from hscl_fast.console import say
from hscl_fast.data.loaders.order import WHOLE, BatchOrder
from hscl_fast.errors import UsageError
from hscl_fast.evaluation.threshold import require_fittable
from hscl_fast.runs.checkpoint import MANIFEST, load_checkpoint
from hscl_fast.runs.comparator_progress import ComparatorProgress
from hscl_fast.runs.comparator_run import LAST, STEPS, comparator_of
from hscl_fast.runs.open_run import OpenedRun
from hscl_fast.runs.trained import read_state
from hscl_fast.training.schedule import schedule_length
from hscl_fast.training.state import TrainingState


def train_comparator(opened: OpenedRun) -> None:
    """Train the comparator that ``config.method`` names, or go on with it, and write the checkpoint ``last``.

    Raises
    ------
    UsageError
        There are several ranks, a checkpoint does not fit, or a file cannot be written.
    Interrupted
        A signal asked to stop; everything is saved.
    """
    config, split, ranks = opened.config, opened.split, opened.ranks
    name, path = config.method.name, opened.directory.checkpoint(LAST)
    with ranks.together():
        if ranks.size > 1:
            raise UsageError(
                f"--method.name is {name!r}, which trains in one process, but there are {ranks.size} ranks. Start it "
                "without torchrun, or use --method.name hscl."
            )
        require_fittable(config.evaluate, split.counts.held_out_normal, split.counts.unlabelled)
        order = BatchOrder(len(split.training.roles), config.optim.batch_size, config.runtime.seed, WHOLE)
        total = schedule_length(config.optim, order.steps_per_epoch)
        comparator = comparator_of(config, split.training.images.shape[1], total, opened.execution)
        opened.begin()
    entry = COMPARATORS[name]
    how = f" in the mode {config.method.mode}" if entry.has_network else ""
    device = opened.execution.device
    say(opened.console, f"run {opened.directory.path}: {entry.title} ({entry.source}){how} on {device}")
    state, saved = TrainingState(), None
    if opened.resume and (path / MANIFEST).exists():
        if STEPS in load_checkpoint(path).info:
            return  # it is trained
        checkpoint = load_checkpoint(path, with_state=True)
        state, saved = read_state(checkpoint.info, opened.directory), checkpoint.state
    opened.directory.truncate_metrics(state.step)
    visible = VisibleImages(
        np.asarray(split.training.images[:]),
        split.training.roles,
        np.asarray(split.held_out.images[:]),
        split.held_out.roles,
    )
    with ComparatorProgress(opened.recorder, config.record, state, saved, device) as progress:
        comparator.fit(visible, progress)
    opened.recorder.save(LAST, weights=comparator.state(), info={**vars(state), STEPS: total})
