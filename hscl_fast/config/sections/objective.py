"""``objective``: the training objective."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from hscl_fast.config.sections.requirements import require, require_not_negative

# Those of hscl_kernels.checks, which a test compares: importing them from there would import torch.
LOWEST_TEMPERATURE, HIGHEST_TEMPERATURE = 1e-4, 1e4


@dataclass(frozen=True)
class ObjectiveConfig:
    """The training objective, L = lambda_sample L_SS + lambda_prototype L_SP + lambda_abnormal L_NA (Eq. 8).

    Parameters
    ----------
    name
        ``paper``: equations 1-8. ``released``: the loss of the authors' released code, term by term.
    temperature
        tau of the contrastive terms, from 1e-4 to 1e4.
    lambda_sample
        Weight of the sample-to-sample term, 1 in the paper. 0 suits a frozen encoder with a single cached view, in
        which nothing is left to contrast.
    lambda_prototype
        lambda_1, weight of the sample-to-prototype term. 0 turns prototypes off; then score with ``knn``.
    prototype_parts
        Which sums of the sample-to-prototype term (Eq. 4) are trained on: ``both``; ``normals``, which pulls normals
        to a prototype; or ``anomalies``, which pushes labelled anomalies away. Weights and score stay as they are.
    lambda_abnormal
        lambda_2, weight of the normal-to-abnormal term.
    weight_threshold
        w_delta: rows with a smaller weight are left out of the normal-to-abnormal term.
    na_estimator
        How the normal-to-abnormal term is computed: ``expectation`` (no sampling) or ``multinomial``.
    rotated_roles
        Role of the rotated copies of an image: ``exclude`` (used in the contrastive term only), ``inherit`` (the role
        of the image) or ``abnormal``. The released objective requires ``inherit``.
    shift_loss
        Add the four-way rotation-classification cross-entropy. Required by ``evaluate.scoring=released``. Needs
        ``augment.rotations`` 2 or 4.
    backend
        Form of the paper objective: ``auto`` (``triton`` on a GPU, ``cpu`` on the CPU), ``cpu``, ``triton`` or
        ``reference`` (plain PyTorch, which stores the N x N similarities). The released objective has only one form.
    """

    name: Literal["paper", "released"] = "paper"
    temperature: float = 0.5
    lambda_sample: float = 1.0
    lambda_prototype: float = 1.0
    prototype_parts: Literal["both", "normals", "anomalies"] = "both"
    lambda_abnormal: float = 1.0
    weight_threshold: float = 0.4
    na_estimator: Literal["expectation", "multinomial"] = "expectation"
    rotated_roles: Literal["inherit", "exclude", "abnormal"] = "exclude"
    shift_loss: bool = False
    backend: Literal["auto", "reference", "cpu", "triton"] = "auto"

    def __post_init__(self) -> None:
        require(
            LOWEST_TEMPERATURE <= self.temperature <= HIGHEST_TEMPERATURE,
            "objective.temperature",
            self.temperature,
            f"from {LOWEST_TEMPERATURE:g} to {HIGHEST_TEMPERATURE:g}",
        )
        require_not_negative(
            "objective",
            {
                "lambda_sample": self.lambda_sample,
                "lambda_prototype": self.lambda_prototype,
                "lambda_abnormal": self.lambda_abnormal,
            },
        )
        trained = self.lambda_sample > 0 or self.lambda_prototype > 0
        require(trained, "objective.lambda_sample", self.lambda_sample, "above 0 where lambda_prototype is 0")
        if self.lambda_prototype == 0 or self.name == "released":
            expected = "both where lambda_prototype is 0, and with the released objective"
            require(self.prototype_parts == "both", "objective.prototype_parts", self.prototype_parts, expected)
        require(0 <= self.weight_threshold < 1, "objective.weight_threshold", self.weight_threshold, "in [0, 1)")
        if self.name == "released":
            inherits = self.rotated_roles == "inherit"
            require(inherits, "objective.rotated_roles", self.rotated_roles, "inherit with the released objective")
            require(self.backend == "auto", "objective.backend", self.backend, "auto with the released objective")
            unit = self.lambda_sample == self.lambda_prototype == self.lambda_abnormal == 1.0
            require(
                unit,
                "objective.lambda_*",
                (self.lambda_sample, self.lambda_prototype, self.lambda_abnormal),
                "1 with the released objective",
            )
