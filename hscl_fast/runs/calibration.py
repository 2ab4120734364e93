"""The calibration of a run: the threshold and the constants of its score, which are needed to score new images."""

from __future__ import annotations

from dataclasses import replace

import torch
from pydantic import Field, ValidationError
from torch import Tensor

from hscl_fast.config.sections import CheckpointName, Config, ScoringName
from hscl_fast.errors import UsageError
from hscl_fast.method.scoring.scoring import Scoring
from hscl_fast.runs.checkpoint import DamagedCheckpoint, NoCheckpoint, load_checkpoint, save_checkpoint
from hscl_fast.runs.directory import RunDirectory
from hscl_fast.runs.trained import load_scoring
from hscl_fast.strict_json import Number, StrictModel, first_problem


class Calibration(StrictModel):
    """The values that are saved beside the constants.

    Attributes
    ----------
    threshold, threshold_source
        The threshold in units of the score, and what it was fitted on, in words.
    scoring, checkpoint, step
        The score, and the checkpoint it was calibrated for.
    image_size
        Side of the images in pixels.
    """

    threshold: Number
    threshold_source: str
    scoring: ScoringName
    checkpoint: CheckpointName
    step: int
    image_size: int = Field(ge=8, le=1024)


def save_calibration(directory: RunDirectory, calibration: Calibration, constants: dict[str, Tensor]) -> None:
    """Write the calibration of a run in place of the previous one."""
    save_checkpoint(directory.calibration, weights=constants, info=calibration.model_dump())


def load_calibrated(directory: RunDirectory, config: Config, device: torch.device) -> tuple[Scoring, Calibration]:
    """Return the score of a run as last evaluated; the training images are not needed.

    Raises
    ------
    UsageError
        The run has not been evaluated since it was trained, or a file is damaged.
    """
    again = f"Run `hscl eval {directory.path}`"
    try:
        saved = load_checkpoint(directory.calibration)
        calibration = Calibration.model_validate(saved.info)
    except NoCheckpoint as error:
        raise UsageError(f"{directory.path} was trained but not evaluated, so it has no threshold. {again}.") from error
    except DamagedCheckpoint as error:
        reason = str(error).partition(" is damaged: ")[2].partition(". Restore")[0]
        raise UsageError(f"The calibration in {directory.calibration} is damaged: {reason}. {again} again.") from error
    except ValidationError as error:
        problem = first_problem(error)
        raise UsageError(f"The calibration in {directory.calibration} is damaged: {problem}. {again} again.") from error
    used = replace(config.evaluate, scoring=calibration.scoring, checkpoint=calibration.checkpoint)
    config = replace(config, evaluate=used)
    scoring, state = load_scoring(directory, config, calibration.image_size, device)
    if state.step != calibration.step:
        raise UsageError(
            f"{directory.path} was trained further after its last evaluation, so its threshold is out of date. {again} "
            "first."
        )
    scoring.constants = {name: tensor.to(device) for name, tensor in saved.weights.items()}
    return scoring, calibration
