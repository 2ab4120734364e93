"""A trained and calibrated network in memory, independent of the run that it comes from."""

from __future__ import annotations

import os
import secrets
import shutil
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor

from hscl_fast.atomic import write_json, write_text
from hscl_fast.config.sections import Config
from hscl_fast.data.paths import at_home
from hscl_fast.data.types import Decoding
from hscl_fast.device import resolve_device
from hscl_fast.errors import UsageError
from hscl_fast.evaluation.fitted_threshold import by_hand
from hscl_fast.method.scoring.scoring import Scoring
from hscl_fast.runs.backends import prepare_backends
from hscl_fast.runs.calibration import Calibration, load_calibrated, save_calibration
from hscl_fast.runs.checkpoint import write_checkpoint
from hscl_fast.runs.contents import MARKER
from hscl_fast.runs.directory import RunDirectory
from hscl_fast.runs.environment import environment
from hscl_fast.runs.trained import scoring_of


@dataclass(frozen=True, eq=False)
class Fitted:
    """All that it takes to score new images.

    Attributes
    ----------
    config
        The configuration of the run.
    calibration
        The score and the threshold of its evaluation.
    scoring
        The calibrated score with its network, on a device.
    """

    config: Config
    calibration: Calibration
    scoring: Scoring

    @property
    def decoding(self) -> Decoding:
        """How image files become images."""
        data = self.config.data
        return Decoding(self.calibration.image_size, data.bit_depth, data.float_white, data.max_megapixels)

    def with_threshold(self, threshold: float) -> Fitted:
        """Return the same with a threshold, an anomaly score, that may have been changed by hand."""
        if threshold == self.calibration.threshold:
            return self
        return replace(self, calibration=self.calibration.at_threshold(by_hand(float(threshold))))

    def plain(self) -> dict[str, Any]:
        """Return the same as values without a device, for :meth:`from_plain`: tensors are NumPy arrays."""
        arrays = {name: tensor.detach().cpu().numpy() for name, tensor in self.scoring.network.state_dict().items()}
        constants = {name: tensor.cpu().numpy() for name, tensor in self.scoring.constants.items()}
        return {"config": self.config, "calibration": self.calibration, "weights": arrays, "constants": constants}

    @classmethod
    def from_plain(cls, plain: dict[str, Any]) -> Fitted:
        """Return what :meth:`plain` took apart, on the configured device, or on another if this machine lacks it."""
        config, calibration = plain["config"], plain["calibration"]
        try:
            device = resolve_device(config.runtime.device)
        except UsageError:
            device = resolve_device("auto")
        prepare_backends(config.runtime)
        weights, constants = (
            {name: torch.tensor(array) for name, array in plain[part].items()} for part in ("weights", "constants")
        )
        used = replace(config.evaluate, scoring=calibration.scoring, checkpoint=calibration.checkpoint)
        scoring = scoring_of(replace(config, evaluate=used), weights, calibration.image_size, device, "the pickle")
        scoring.use(constants)
        return cls(config, calibration, scoring)


def load_fitted(path: str | os.PathLike[str], *, device: str | None = None, evaluation: str | None = None) -> Fitted:
    """Load a trained run, or what :func:`save_fitted` wrote.

    Parameters
    ----------
    path
        The run directory.
    device
        As ``runtime.device``; None: as trained.
    evaluation
        The name of an evaluation in ``RUN/evaluations``, whose score and threshold are used; None: the run's own.

    Raises
    ------
    UsageError
        It is not a run, or was not evaluated since it was trained, or a file is damaged.
    """
    directory = RunDirectory(at_home(path))
    config = directory.load_config()
    if device is not None:
        config = replace(config, runtime=replace(config.runtime, device=device))
    prepare_backends(config.runtime)
    scoring, calibration = load_calibrated(directory, config, resolve_device(config.runtime.device), evaluation)
    return Fitted(config, calibration, scoring)


def save_fitted(fitted: Fitted, path: str | os.PathLike[str]) -> None:
    """Write a folder that ``hscl predict`` and :func:`load_fitted` take for a run: no images, and nothing pickled.

    Raises
    ------
    UsageError
        ``path`` exists, or cannot be written.
    """
    target = at_home(path)
    if os.path.lexists(target):
        raise UsageError(f"{target} already exists. Give another path, or remove it first.")
    temporary = target.with_name(f".{secrets.token_hex(8)}.tmp")
    try:
        temporary.mkdir()
        _write(fitted, RunDirectory(temporary))
        os.rename(temporary, target)
    except OSError as error:
        raise UsageError(
            f"{target} cannot be written: {error.strerror or error}. Give a path in a folder that exists and that you "
            "may write to, on a disk with free space."
        ) from error
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def _write(fitted: Fitted, directory: RunDirectory) -> None:
    calibration, weights = fitted.calibration, dict[str, Tensor](fitted.scoring.network.state_dict())
    write_text(directory.path / MARKER, "This folder is a trained detector of hscl-fast.\n")
    write_json(directory.path / "env.json", environment())
    write_checkpoint(
        directory.checkpoint(calibration.checkpoint), weights=weights, info={"step": calibration.step, "seconds": 0.0}
    )
    save_calibration(directory, calibration, fitted.scoring.constants)
    directory.save_config(fitted.config)
