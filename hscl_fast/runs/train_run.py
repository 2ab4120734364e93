"""Trains a run: from a configuration to a run directory and a summary."""

from __future__ import annotations

import os
import shlex
from dataclasses import replace
from pathlib import Path

from rich.console import Console

from hscl_fast.config.parsing import to_dict
from hscl_fast.config.sections import Config, ModelConfig
from hscl_fast.console import say, silent
from hscl_fast.data.added_files import remark_on_added_files
from hscl_fast.data.bad_images import BadImages
from hscl_fast.data.bit_depth import with_scale
from hscl_fast.data.loaders.choose import choose_loader
from hscl_fast.data.open import in_memory, open_split
from hscl_fast.data.paths import at_home
from hscl_fast.data.places import absolute_places, moved_to
from hscl_fast.data.split.record import read_record
from hscl_fast.data.split.split import Split
from hscl_fast.data.user.passed import PassedImages
from hscl_fast.device import resolve_device, resolve_execution
from hscl_fast.errors import UsageError
from hscl_fast.evaluation.candidates import candidate_scorings
from hscl_fast.evaluation.threshold import require_fittable
from hscl_fast.evaluation.validation import held_out_auroc
from hscl_fast.interrupt import Interrupted
from hscl_fast.ranks.group import Ranks, start_ranks
from hscl_fast.runs.backends import prepare_backends, require_threads
from hscl_fast.runs.checkpoint import MANIFEST, load_checkpoint
from hscl_fast.runs.directory import RunDirectory
from hscl_fast.runs.evaluate_run import evaluate_trained
from hscl_fast.runs.feature_cache import cached_features
from hscl_fast.runs.image_size import resolve_image_size
from hscl_fast.runs.lock import RunLock
from hscl_fast.runs.proposal import propose_pretrained
from hscl_fast.runs.recorder import RunRecorder
from hscl_fast.runs.run import Run
from hscl_fast.runs.show import show_slow_precision, show_split
from hscl_fast.runs.trained import read_state
from hscl_fast.runs.warm_start import load_warm_start, require_fitting
from hscl_fast.training.recorder import Recorder, SilentRecorder
from hscl_fast.training.trainer import Trainer


def train_run(
    config: Config | None,
    out: str | Path,
    *,
    images: PassedImages | None = None,
    resume: bool = False,
    overwrite: bool = False,
    console: Console | None = None,
) -> Run:
    """Train a detector, evaluate it and write a report.

    Under torchrun every rank calls this; the first one writes and evaluates.

    Parameters
    ----------
    config
        The configuration; the run keeps the paths in it as absolute ones. With ``resume`` it must equal the run's own,
        which None stands for.
    out
        The run directory.
    images
        Training images of :func:`hscl_fast.data.user.passed.passed_images`, in place of the data that ``config.data``
        names. The run keeps them, or the list of their files, in its folder ``data``.
    resume
        Continue the run in ``out`` from its last checkpoint, bit for bit. ``config.data.root`` may differ: it says
        where the data lies now, see :func:`hscl_fast.data.places.moved_to`.
    overwrite
        Replace the run in ``out``.
    console
        Console for progress and warnings; None shows nothing.

    Returns
    -------
    Run

    Raises
    ------
    UsageError
        The configuration does not fit the data or this machine, ``out`` is taken, or a file cannot be written.
    Interrupted
        SIGINT or SIGTERM stopped the run; everything is saved.
    """
    directory = RunDirectory(at_home(out))
    config = _resolve_config(config, directory, images, resume=resume)
    console = silent() if console is None else console
    with RunLock(directory.path) as lock:
        with start_ranks(config) as ranks:
            if not ranks.is_first:
                console = silent()
            trainer, split, config = _prepare(
                config, directory, images, lock, ranks, console, resume=resume, overwrite=overwrite
            )
            say(console, f"run {directory.path}: {trainer.describe()}")
            if config.augment.cached_views is not None:
                cached = cached_features(directory, config, split, trainer.model, trainer.execution, console)
                trainer.use_features(cached.views)
                if trainer.validate is not None:
                    trainer.validate = held_out_auroc(config, split, trainer.execution, cached)
            try:
                trainer.train()
            except Interrupted as stopped:
                done = f"step {trainer.state.step} of {trainer.total_steps}"
                say(console, f"{stopped} at {done}; everything is saved. Continue with:")
                say(console, f"  hscl train --out {shlex.quote(str(directory.path))} --resume")
                raise
        if not ranks.is_first:
            return Run(directory, config, None)
        summary = evaluate_trained(directory, directory, config, split, trainer.execution.device, console)
    return Run(directory, config, summary)


def _resolve_config(
    config: Config | None, directory: RunDirectory, images: PassedImages | None, *, resume: bool
) -> Config:
    if images is not None and resume:
        raise UsageError(
            f"images are given, but {directory.path} is resumed with the images that it was begun with. Leave them out."
        )
    if not resume:
        if config is None:
            raise UsageError("config is None, but a new run needs a configuration. Pass one, or resume a run.")
        require_threads(config.runtime)
        model, data = _with_absolute_places(config.model), config.data
        data = absolute_places(data if images is None else images.placed(data, directory.data.absolute()))
        data = replace(data, image_size=resolve_image_size(data, model))
        config = replace(config, data=data, model=model)
        if model.warm_start is not None:
            require_fitting(config, directory.path)
        return config
    saved = directory.load_config()
    if config is None:
        return saved
    model = _with_absolute_places(config.model)
    asked, was = absolute_places(config.data), absolute_places(saved.data)
    asked = replace(  # what was unset at the start has been found since
        asked,
        image_size=resolve_image_size(asked, model),
        bit_depth=was.bit_depth if asked.bit_depth is None else asked.bit_depth,
        float_white=was.float_white if asked.float_white is None else asked.float_white,
    )
    _require_same(replace(config, data=replace(asked, root=was.root), model=model), replace(saved, data=was), directory)
    if config.data.root is None or asked.root == was.root:
        return saved
    return replace(saved, data=moved_to(was, read_record(directory.split).kind, config.data.root))


def _with_absolute_places(model: ModelConfig) -> ModelConfig:
    """Return the model with absolute paths of what its weights come from, which hold in any working directory."""
    weights, earlier = (
        None if path is None else os.path.abspath(at_home(path)) for path in (model.weights, model.warm_start)
    )
    return replace(model, weights=weights, warm_start=earlier)


def _require_same(config: Config, saved: Config, directory: RunDirectory) -> None:
    was, given = to_dict(saved), to_dict(config)
    differences = [
        f"--{section}.{name} is {given[section][name]!r} and was {value!r}"
        for section, values in was.items()
        for name, value in values.items()
        if given[section][name] != value
    ]
    if differences:
        raise UsageError(
            f"--resume continues {directory.path} with the configuration it was started with, but "
            f"{'; '.join(differences)}. Leave these flags out (`hscl train --out {directory.path} --resume`), or start "
            "another run in another --out. Only --data.root may differ: it says where data that has moved lies now."
        )


def _prepare(
    config: Config,
    directory: RunDirectory,
    images: PassedImages | None,
    lock: RunLock,
    ranks: Ranks,
    console: Console,
    *,
    resume: bool,
    overwrite: bool,
) -> tuple[Trainer, Split, Config]:
    """Return the trainer of a new run or of one to resume, the split, and the configuration with what the data says.

    The first rank makes the run directory.
    """
    prepare_backends(config.runtime)
    with ranks.together():
        if ranks.is_first:
            if not resume:
                directory.require_free(overwrite=overwrite)
                directory.require_other_data(config, images)
            if directory.path.exists():
                lock.acquire()  # before anything of another writer is read
                directory.require_no_way_out()
        device = resolve_device(config.runtime.device, ranks.local_rank)
        try:
            split = open_split(directory.recorded_data(config) if resume else config.data, images)
            config = replace(config, data=with_scale(config.data, split.decoding))
            proposal = () if resume else propose_pretrained(config, split, device)
            split = replace(split, remarks=(*split.remarks, *proposal))
            if not resume and config.data.split_record is not None:
                added = remark_on_added_files(config.data, split.record)
                split = replace(split, remarks=(*split.remarks, *added))
            loader = choose_loader(config.data, config.runtime, split, device)
            if loader.kind == "resident":
                split = in_memory(split)
            if resume:
                split = replace(split, remarks=(*split.remarks, *directory.remarks))
        except BadImages as error:
            if resume or config.data.split_record is not None:  # the record says which images there are
                raise
            raise BadImages(error.files, "To train without them, add --data.skip_bad true.") from error
    show_split(split, config.data.name, console)
    if config.augment.cached_views is None:
        say(console, f"loader {loader.kind}: {loader.reason}")
    execution = resolve_execution(device, precision=config.runtime.precision, compile=config.runtime.compile)
    show_slow_precision(device, config.runtime.precision, console)
    recorder: Recorder = SilentRecorder()
    if ranks.is_first:
        recorder = RunRecorder(directory, console, tensorboard=config.record.tensorboard)
    validate = held_out_auroc(config, split, execution)
    has_weights = resume and (directory.checkpoint("last") / MANIFEST).exists()
    earlier = None if has_weights else config.model.warm_start
    trainer = Trainer(
        config,
        split.training,
        recorder,
        execution,
        loader=loader.kind,
        validate=validate,
        ranks=ranks,
        load=not has_weights and earlier is None,
    )
    with ranks.together():
        if earlier is not None:
            load_warm_start(trainer.model, earlier)
            say(console, f"begins with the weights of {earlier}")
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
            if ranks.is_first and config != directory.load_config():  # the data has moved
                directory.save_config(config)
        elif ranks.is_first:
            directory.create(config, split, lock, overwrite=overwrite, images=images)
    ranks.require_same_step(trainer.state.step)
    return trainer, split, config


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
