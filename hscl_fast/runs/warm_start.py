"""Starts a run from the weights, and the split, of an earlier one."""

from __future__ import annotations

import os
from dataclasses import asdict, replace
from pathlib import Path

from hscl_fast.config.sections import Config, ModelConfig
from hscl_fast.data.paths import at_home
from hscl_fast.errors import UsageError
from hscl_fast.method.network import Network
from hscl_fast.runs.calibration import load_calibration
from hscl_fast.runs.checkpoint import load_checkpoint
from hscl_fast.runs.directory import RunDirectory


def begun_from(config: Config, path: str | Path) -> Config:
    """Return the configuration that goes on where a run has ended, on its split and with its labels.

    Parameters
    ----------
    config
        The configuration of the new run: that of the earlier one, with changes.
    path
        The directory of the earlier run.

    Raises
    ------
    UsageError
        ``config`` names another run, or another split.
    """
    directory = RunDirectory(at_home(path))
    for flag, value in (
        ("data.split_record", config.data.split_record),
        ("model.warm_start", config.model.warm_start),
    ):
        if value is not None:
            raise UsageError(
                f"--{flag} is {value}, but --from {path} takes split and weights from that run. Leave one of the two "
                "out."
            )
    return replace(
        config,
        data=replace(config.data, split_record=str(directory.split)),
        model=replace(config.model, warm_start=str(directory.path)),
    )


def without_beginning(path: str | Path) -> Config:
    """Return the configuration of a run without what it began from, which its own split record and weights replace.

    Raises
    ------
    UsageError
        It is not a run.
    """
    config = RunDirectory(at_home(path)).load_config()
    return replace(
        config,
        data=replace(config.data, split_record=None, labels=None),
        model=replace(config.model, warm_start=None),
    )


def require_fitting(config: Config, out: Path) -> None:
    """Check that the weights of ``model.warm_start`` suit the new run, before its data is read.

    Raises
    ------
    UsageError
        It is not a run that was trained, is the one that would be replaced, or has another model or another size of
        images.
    """
    assert config.model.warm_start is not None
    earlier = RunDirectory(Path(config.model.warm_start))
    saved = earlier.load_config()
    if os.path.realpath(earlier.path) == os.path.realpath(out):
        raise UsageError(
            f"--out {out} is the run whose weights the new one begins with (model.warm_start), so it cannot be "
            "replaced by it. Give another --out."
        )
    was, now = _compared(saved.model), _compared(config.model)
    differences = [
        f"--model.{name} is {now[name]!r} and was {value!r}" for name, value in was.items() if now[name] != value
    ]
    if saved.objective.shift_loss != config.objective.shift_loss:
        before = saved.objective.shift_loss
        differences.append(f"--objective.shift_loss is {config.objective.shift_loss} and was {before}")
    size, trained = config.data.image_size, _image_size(earlier, saved)
    if None not in (size, trained) and size != trained:
        differences.append(f"--data.image_size is {size} and was {trained}")
    if differences:
        raise UsageError(
            f"The weights of {earlier.path} do not fit the new run: {'; '.join(differences)}. Leave these options out "
            f"and give --from {earlier.path}, which takes them from that run, or begin without its weights."
        )


def _compared(model: ModelConfig) -> dict[str, object]:
    """Return what decides the network; the file of pretrained weights may have moved."""
    return {**asdict(model), "warm_start": None, "weights": model.weights is not None}


def _image_size(run: RunDirectory, config: Config) -> int | None:
    """Return the side of the images that a run was trained on; None where neither it nor its calibration says so."""
    if config.data.image_size is not None:
        return config.data.image_size
    try:
        return load_calibration(run, "hscl eval")[0].image_size
    except UsageError:
        return None


def load_warm_start(network: Network, path: str) -> None:
    """Give a network the weights that an earlier run is evaluated with.

    Parameters
    ----------
    network
        Of the same form, on any device.
    path
        The directory of the earlier run.

    Raises
    ------
    UsageError
        There is no such run, it has no intact checkpoint, or its weights are of another form.
    """
    earlier = RunDirectory(Path(path))
    name = earlier.load_config().evaluate.checkpoint
    weights = load_checkpoint(earlier.checkpoint(name)).weights
    try:
        network.load_state_dict(weights)
    except RuntimeError as error:
        raise UsageError(
            f"The weights of {earlier.path} do not fit the new run: {str(error).splitlines()[-1].strip()}. Begin with "
            f"--from {earlier.path} and no option of the model, or without its weights."
        ) from error
