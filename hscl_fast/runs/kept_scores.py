"""The anomaly scores that an evaluation keeps beside its calibration, for another threshold."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from hscl_fast.errors import UsageError
from hscl_fast.evaluation.fitted_threshold import ThresholdScores
from hscl_fast.runs.checkpoint import load_checkpoint
from hscl_fast.runs.directory import Results

_NAMES = ("held_out", "held_out_abnormal", "unlabelled", "training", "test")


@dataclass(frozen=True, eq=False)
class KeptScores:
    """What ``hscl threshold`` needs.

    Attributes
    ----------
    fitted_to
        What the threshold is fitted to.
    test : float64 [m]
        The anomaly scores of the test images, in the order of the split.
    """

    fitted_to: ThresholdScores
    test: torch.Tensor

    def tensors(self) -> dict[str, Tensor]:
        """Return everything by name."""
        given = self.fitted_to
        return {
            "held_out": torch.from_numpy(given.held_out),
            "held_out_abnormal": torch.from_numpy(given.held_out_abnormal),
            "unlabelled": torch.from_numpy(given.unlabelled),
            "training": torch.from_numpy(given.training),
            "test": self.test,
        }


def load_kept_scores(results: Results, again: str) -> KeptScores:
    """Return the scores that an evaluation has kept.

    Parameters
    ----------
    results
        Of the evaluation.
    again
        The command that evaluates again, for the error.

    Raises
    ------
    UsageError
        They are missing or damaged.
    """
    try:
        state = load_checkpoint(results.calibration, with_state=True).state or {}
        if set(state) != set(_NAMES):
            raise ValueError(f"the scores in it are {sorted(map(str, state))}, expected {sorted(_NAMES)}")
        for name, tensor in state.items():
            _check(name, tensor)
        if len(state["held_out"]) != len(state["held_out_abnormal"]):
            raise ValueError("not as many images are held out as have a label")
    except ValueError as error:  # a UsageError is one
        reason = getattr(error, "reason", None) or str(error)
        raise UsageError(
            f"The scores that are kept in {results.calibration} are damaged: {reason}. Run {again} again."
        ) from error
    arrays = {name: tensor.numpy() for name, tensor in state.items() if name != "test"}
    return KeptScores(ThresholdScores(**arrays), state["test"])


def _check(name: str, tensor: object) -> None:
    """Raise a ValueError unless a value is a row of finite numbers or, of the labels, of flags."""
    dtype = torch.bool if name == "held_out_abnormal" else torch.float64
    if not isinstance(tensor, Tensor) or tensor.dtype != dtype or tensor.dim() != 1 or not tensor.isfinite().all():
        raise ValueError(f"{name} is not a row of finite {'flags' if dtype == torch.bool else 'numbers'}")
