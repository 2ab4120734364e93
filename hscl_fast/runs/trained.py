"""Loads the trained network of a run from its checkpoint."""

from __future__ import annotations

import json
import math
from typing import Any

import torch
from pydantic import TypeAdapter, ValidationError
from torch import Tensor

from hscl_fast.config.sections import Config
from hscl_fast.device import resolve_execution
from hscl_fast.errors import UsageError
from hscl_fast.method.network import Network, build_network
from hscl_fast.method.scoring.scoring import Scoring
from hscl_fast.runs.checkpoint import load_checkpoint
from hscl_fast.runs.directory import RunDirectory
from hscl_fast.strict_json import first_problem
from hscl_fast.training.state import TrainingState

_STATE = TypeAdapter(TrainingState)
_MOST_STEPS = 1 << 53


def read_state(info: dict[str, Any], directory: RunDirectory) -> TrainingState:
    """Return the training state in the ``info`` of a checkpoint.

    Raises
    ------
    UsageError
        ``info`` is not a training state.
    """
    try:
        state = _STATE.validate_json(json.dumps(info), strict=True)
    except ValidationError as error:
        raise UsageError(
            f"The checkpoint in {directory.path} is damaged: {first_problem(error)}. Restore it from a copy, or train "
            "again with --overwrite."
        ) from error
    if "step" not in info or not 0 <= state.step < _MOST_STEPS or not 0 <= state.seconds < math.inf:
        raise UsageError(
            f"The checkpoint in {directory.path} is damaged: its step or seconds are missing or out of range. Restore "
            "it from a copy, or train again with --overwrite."
        )
    return state


def load_scoring(
    directory: RunDirectory, config: Config, image_size: int, device: torch.device
) -> tuple[Scoring, TrainingState]:
    """Return the score of a run, not yet calibrated, and the training state of its checkpoint.

    Parameters
    ----------
    directory, config
        The run and its configuration; ``config.evaluate`` names checkpoint and score.
    image_size
        Side of the images in pixels.
    device
        The device to score on.

    Raises
    ------
    UsageError
        There is no such checkpoint, or it does not fit the configuration.
    """
    checkpoint = load_checkpoint(directory.checkpoint(config.evaluate.checkpoint))
    return scoring_of(config, checkpoint.weights, image_size, device, str(directory.path)), read_state(
        checkpoint.info, directory
    )


def scoring_of(
    config: Config, weights: dict[str, Tensor], image_size: int, device: torch.device, place: str
) -> Scoring:
    """Return the score, not yet calibrated, of a network with some weights.

    Parameters
    ----------
    config, weights
        What the network is built from; ``config.evaluate`` names the score.
    image_size
        Side of the images in pixels.
    device
        The device to score on.
    place
        Where the weights come from, for the error.

    Raises
    ------
    UsageError
        The weights do not fit the configuration.
    """
    execution = resolve_execution(device, precision=config.runtime.precision, compile=config.runtime.compile)
    network = build_network(config.model, image_size, rotation_head=config.objective.shift_loss, seed=0, load=False)
    try:
        network.load_state_dict(weights)
    except RuntimeError as error:
        raise UsageError(
            f"The weights in {place} do not fit its config.yaml: {str(error).splitlines()[-1].strip()}. "
            "Restore the config.yaml that was saved with the run."
        ) from error
    network.to(device).to(memory_format=torch.channels_last)
    network.eval()
    return Scoring(config.evaluate.scoring, network, execution, config.evaluate.batch_size, config.augment)


def initial_network(config: Config, trained: Network, device: torch.device) -> Network | str | None:
    """Return a network whose encoder is the pretrained one as it was before training.

    Parameters
    ----------
    config
        The run's configuration, whose weights are loaded again unless the encoder is frozen.
    trained
        The run's network.
    device
        The device to compute features on.

    Returns
    -------
    Network, str or None
        ``trained`` itself if its encoder is frozen; a sentence that says why the weights cannot be loaded; None if the
        encoder is from scratch.
    """
    if not config.model.starts_trained:
        return None
    if config.model.freeze:
        return trained
    try:
        network = build_network(config.model, trained.image_size, rotation_head=False, seed=0)
    except UsageError as error:
        return f"Left out: they need the weights that the training began with. {error}"
    return network.to(device).to(memory_format=torch.channels_last).eval()
