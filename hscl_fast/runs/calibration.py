"""The calibration of a run: the threshold and the constants of its score, which are needed to score new images."""

from __future__ import annotations

import shlex
from dataclasses import replace
from typing import Annotated, Any

import numpy as np
import torch
from pydantic import AfterValidator, Field, ValidationError
from torch import Tensor

from hscl_fast.config.methods import COMPARATORS
from hscl_fast.config.scores import parse_scoring
from hscl_fast.config.sections import CheckpointName, Config
from hscl_fast.errors import UsageError
from hscl_fast.evaluation.bootstrap import DRAWS
from hscl_fast.evaluation.convention import SCORE_DIRECTION
from hscl_fast.evaluation.fitted_threshold import FittedThreshold
from hscl_fast.method.scoring.image_scorer import ImageScorer
from hscl_fast.method.scoring.scoring import Scoring
from hscl_fast.runs.checkpoint import DamagedCheckpoint, NoCheckpoint, load_checkpoint, write_checkpoint
from hscl_fast.runs.comparator_run import load_comparator
from hscl_fast.runs.directory import Results, RunDirectory
from hscl_fast.runs.kept_scores import KeptScores
from hscl_fast.runs.trained import load_scoring
from hscl_fast.strict_json import Number, StrictModel, first_problem, short
from hscl_fast.training.state import TrainingState


def _require_scores(scoring: str) -> str:
    if scoring in COMPARATORS:
        return scoring
    try:
        known = scoring == "+".join(parse_scoring(scoring))
    except ValueError:
        known = False
    if not known:
        raise ValueError(f"is {short(scoring)}, expected scores joined by +")
    return scoring


def _require_direction(direction: str) -> str:
    if direction != SCORE_DIRECTION:
        raise ValueError(f"is {short(direction)}, expected {SCORE_DIRECTION!r}")
    return direction


class Calibration(StrictModel):
    """The values that are saved beside the constants.

    Attributes
    ----------
    score_direction
        What the threshold is compared with; a calibration of before there were anomaly scores everywhere has none.
    threshold, threshold_source
        The threshold, an anomaly score, and what it was fitted on, in words.
    threshold_interval, threshold_caution
        Its 95 % interval or None, and why to be careful with it, None if there is no reason.
    scoring, checkpoint, step
        The score, and the checkpoint it was calibrated for.
    image_size
        Side of the images in pixels.
    """

    score_direction: Annotated[str, AfterValidator(_require_direction)]
    threshold: Number
    threshold_source: str
    threshold_interval: Annotated[list[Number], Field(min_length=2, max_length=2)] | None
    threshold_caution: str | None
    scoring: Annotated[str, AfterValidator(_require_scores)]
    checkpoint: CheckpointName
    step: int
    image_size: int = Field(ge=8, le=1024)

    @property
    def fitted_threshold(self) -> FittedThreshold:
        """The threshold as it was fitted, without the resampled ones."""
        ends = self.threshold_interval
        return FittedThreshold(
            self.threshold,
            self.threshold_source,
            None if ends is None else (ends[0], ends[1]),
            self.threshold_caution,
            np.full(DRAWS, self.threshold),
        )

    def at_threshold(self, fitted: FittedThreshold) -> Calibration:
        """Return the same calibration with another threshold."""
        return self.model_copy(
            update={
                "threshold": fitted.value,
                "threshold_source": fitted.source,
                "threshold_interval": None if fitted.interval is None else list(fitted.interval),
                "threshold_caution": fitted.caution,
            }
        )


def save_calibration(
    results: Results, calibration: Calibration, constants: dict[str, Tensor], kept: KeptScores | None = None
) -> None:
    """Write the calibration of an evaluation in place of the one before, with the scores for another threshold.

    Raises
    ------
    OSError
        A file cannot be written.
    """
    state = None if kept is None else kept.tensors()
    write_checkpoint(results.calibration, weights=constants, info=calibration.model_dump(), state=state)


def load_calibration(results: Results, again: str) -> tuple[Calibration, dict[str, Tensor]]:
    """Return the calibration of an evaluation, and its constants.

    Parameters
    ----------
    results
        Of the evaluation.
    again
        The command that evaluates again, for the error.

    Raises
    ------
    UsageError
        There is none, or a file is damaged.
    """
    try:
        saved = load_checkpoint(results.calibration)
        _require_current(results, saved.info, again)
        return Calibration.model_validate(saved.info), saved.weights
    except NoCheckpoint as error:
        missing = f"{results.path} was trained but not evaluated, so it has no threshold. Run {again}."
        raise UsageError(missing) from error
    except DamagedCheckpoint as error:
        raise _damaged(results, error.reason, again) from error
    except ValidationError as error:
        raise _damaged(results, first_problem(error), again) from error


def _require_current(results: Results, info: dict[str, Any], again: str) -> None:
    """Refuse a threshold with the other sign, which would call every normal image abnormal."""
    if "threshold" in info and "score_direction" not in info:
        raise UsageError(
            f"The calibration in {results.calibration} is of an older hscl-fast, whose threshold is no anomaly score. "
            f"Run {again} again, which takes a threshold that is."
        )


def _damaged(results: Results, reason: str, again: str) -> UsageError:
    return UsageError(f"The calibration in {results.calibration} is damaged: {reason}. Run {again} again.")


def require_evaluation(directory: RunDirectory, evaluation: str | None) -> Results:
    """Return the results of an evaluation of a run; None names the run's own.

    Raises
    ------
    UsageError
        There is no such evaluation.
    """
    if evaluation is None:
        return directory
    results = directory.evaluation(evaluation)
    if not results.path.is_dir():
        known = sorted(path.name for path in results.path.parent.glob("*") if path.is_dir())
        listed = f"It has {', '.join(known)}" if known else "It has none beside its own"
        raise UsageError(f"--evaluation is {evaluation!r}, which {directory.path} does not have. {listed}.")
    return results


def command_again(directory: RunDirectory, evaluation: str | None, *, overwrite: bool = False) -> str:
    """Return the command that makes an evaluation again, in backquotes."""
    named = "" if evaluation is None else f" --name {evaluation}"
    named += " --overwrite" if overwrite or evaluation is not None else ""
    return f"`hscl eval {shlex.quote(str(directory.path))}{named}`"


def load_scorer(
    directory: RunDirectory, config: Config, device: torch.device, evaluation: str | None = None
) -> tuple[ImageScorer, Calibration]:
    """Return what scores images as a run was evaluated, of any method: see :func:`load_calibrated`."""
    if config.method.is_hscl:
        return load_calibrated(directory, config, device, evaluation)
    again = command_again(directory, evaluation)
    calibration, _ = load_calibration(require_evaluation(directory, evaluation), again)
    scorer, state = load_comparator(directory, config, calibration.image_size, device)
    _require_same_step(directory, state, calibration, again)
    return scorer, calibration


def load_calibrated(
    directory: RunDirectory, config: Config, device: torch.device, evaluation: str | None = None
) -> tuple[Scoring, Calibration]:
    """Return a run's score as it was evaluated, without the training images.

    Parameters
    ----------
    directory, config
        The run.
    device
        Where to score.
    evaluation
        The name of an evaluation; None takes the run's own.

    Raises
    ------
    UsageError
        The run is of another method, was not evaluated since it was trained, there is no such evaluation, or a file is
        damaged.
    """
    if not config.method.is_hscl:
        raise UsageError(
            f"{directory.path} is a run of --method {config.method.name}, which has no network of HSCL to load. Score "
            f"images with it by `hscl predict {shlex.quote(str(directory.path))}`, or give a run of hscl."
        )
    results = require_evaluation(directory, evaluation)
    again = command_again(directory, evaluation)
    calibration, constants = load_calibration(results, again)
    used = replace(config.evaluate, scoring=calibration.scoring, checkpoint=calibration.checkpoint)
    config = replace(config, evaluate=used)
    scoring, state = load_scoring(directory, config, calibration.image_size, device)
    _require_same_step(directory, state, calibration, again)
    try:
        scoring.use(constants)
    except ValueError as error:
        raise _damaged(results, f"it {error}", again) from error
    return scoring, calibration


def _require_same_step(directory: RunDirectory, state: TrainingState, calibration: Calibration, again: str) -> None:
    if state.step != calibration.step:
        raise UsageError(
            f"{directory.path} was trained on after its evaluation, so its threshold is out of date. Run {again} first."
        )
