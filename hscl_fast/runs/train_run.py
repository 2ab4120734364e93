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
from hscl_fast.data.paths import at_home
from hscl_fast.data.places import absolute_places, moved_to
from hscl_fast.data.split.record import read_record
from hscl_fast.data.user.passed import PassedImages
from hscl_fast.errors import UsageError
from hscl_fast.interrupt import Interrupted
from hscl_fast.ranks.group import start_ranks
from hscl_fast.runs.backends import require_threads
from hscl_fast.runs.directory import RunDirectory
from hscl_fast.runs.evaluate_run import evaluate_trained
from hscl_fast.runs.image_size import resolve_image_size
from hscl_fast.runs.lock import RunLock
from hscl_fast.runs.open_run import open_run
from hscl_fast.runs.run import Run
from hscl_fast.runs.train_comparator import train_comparator
from hscl_fast.runs.train_hscl import train_hscl
from hscl_fast.runs.warm_start import require_fitting


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
            opened = open_run(config, directory, images, lock, ranks, console, resume=resume, overwrite=overwrite)
            config = opened.config
            try:
                (train_hscl if config.method.is_hscl else train_comparator)(opened)
            except Interrupted as stopped:
                say(console, f"{stopped}; everything is saved. Continue with:")
                say(console, f"  hscl train --out {shlex.quote(str(directory.path))} --resume")
                raise
        if not ranks.is_first:
            return Run(directory, config, None)
        summary = evaluate_trained(directory, directory, config, opened.split, opened.execution.device, console)
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
