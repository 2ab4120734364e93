"""Trains the network of HSCL in a run, or goes on with it."""

from __future__ import annotations

from hscl_fast.console import say
from hscl_fast.errors import UsageError
from hscl_fast.evaluation.candidates import candidate_scorings
from hscl_fast.evaluation.threshold import require_fittable
from hscl_fast.evaluation.validation import held_out_auroc
from hscl_fast.ranks.group import Ranks
from hscl_fast.runs.checkpoint import MANIFEST, load_checkpoint
from hscl_fast.runs.directory import RunDirectory
from hscl_fast.runs.feature_cache import cached_features
from hscl_fast.runs.open_run import OpenedRun
from hscl_fast.runs.trained import read_state
from hscl_fast.runs.warm_start import load_warm_start
from hscl_fast.training.trainer import Trainer


def train_hscl(opened: OpenedRun) -> None:
    """Train to the last step.

    Raises
    ------
    UsageError
        The configuration cannot be trained or scored, or a file cannot be written.
    Interrupted
        A signal asked to stop; everything is saved.
    """
    config, split, console = opened.config, opened.split, opened.console
    trainer = _trainer(opened)
    say(console, f"run {opened.directory.path}: {trainer.describe()}")
    if config.augment.cached_views is not None:
        cached = cached_features(opened.directory, config, split, trainer.model, trainer.execution, console)
        trainer.use_features(cached.views)
        if trainer.validate is not None:
            trainer.validate = held_out_auroc(config, split, trainer.execution, cached)
    trainer.train()


def _trainer(opened: OpenedRun) -> Trainer:
    """Return the trainer of a new run, or of one to go on with."""
    config, split, execution = opened.config, opened.split, opened.execution
    directory, ranks, resume = opened.directory, opened.ranks, opened.resume
    validate = held_out_auroc(config, split, execution)
    has_weights = resume and (directory.checkpoint("last") / MANIFEST).exists()
    earlier = None if has_weights else config.model.warm_start
    trainer = Trainer(
        config,
        split.training,
        opened.recorder,
        execution,
        loader=opened.loader,
        validate=validate,
        ranks=ranks,
        load=not has_weights and earlier is None,
    )
    with ranks.together():
        if earlier is not None:
            load_warm_start(trainer.model, earlier)
            say(opened.console, f"begins with the weights of {earlier}")
        candidate_scorings(config, split.training.roles, split.held_out.roles)  # refuses what cannot be had
        require_fittable(config.evaluate, split.counts.held_out_normal, split.counts.unlabelled)
        if validate is None and config.evaluate.checkpoint == "best":
            raise UsageError(
                "--evaluate.checkpoint is 'best', which is chosen on held-out labelled images, but not both normal and "
                "abnormal ones are held out. Label at least two of each and give --data.held_out_ratio a value above "
                "0, or use --evaluate.checkpoint last."
            )
        if resume:
            _continue(trainer, directory, ranks)
        opened.begin()
    ranks.require_same_step(trainer.state.step)
    return trainer


def _continue(trainer: Trainer, directory: RunDirectory, ranks: Ranks) -> None:
    """Continue from the last checkpoint, bit for bit; without one, start over."""
    path = directory.checkpoint("last")
    if (path / MANIFEST).exists():
        checkpoint = load_checkpoint(path, with_state=True)
        assert checkpoint.state is not None
        state = read_state(checkpoint.info, directory)
        try:
            trainer.continue_from(checkpoint.weights, checkpoint.state, state)
        except (RuntimeError, KeyError, TypeError, ValueError, AttributeError) as error:
            raise UsageError(
                f"The checkpoint in {path} does not fit this run's configuration: {error}. It belongs to another run; "
                "train again with --overwrite."
            ) from error
    if ranks.is_first:
        directory.truncate_metrics(trainer.state.step)
