"""The whole configuration, and what its sections need of each other."""

from __future__ import annotations

from dataclasses import dataclass, field, fields

from hscl_fast.config.scores import AUTO, needs_of
from hscl_fast.config.sections.augment import AugmentConfig
from hscl_fast.config.sections.data import DataConfig
from hscl_fast.config.sections.evaluate import EvaluateConfig
from hscl_fast.config.sections.method import MethodConfig
from hscl_fast.config.sections.model import ModelConfig
from hscl_fast.config.sections.objective import ObjectiveConfig
from hscl_fast.config.sections.optim import OptimConfig
from hscl_fast.config.sections.record import RecordConfig
from hscl_fast.config.sections.runtime import RuntimeConfig
from hscl_fast.errors import UsageError


@dataclass(frozen=True)
class Config:
    """The whole configuration of a run, saved as ``config.yaml``, which runs the same training again."""

    data: DataConfig = field(default_factory=DataConfig)
    method: MethodConfig = field(default_factory=MethodConfig)
    model: ModelConfig = field(default_factory=ModelConfig)
    objective: ObjectiveConfig = field(default_factory=ObjectiveConfig)
    augment: AugmentConfig = field(default_factory=AugmentConfig)
    optim: OptimConfig = field(default_factory=OptimConfig)
    runtime: RuntimeConfig = field(default_factory=RuntimeConfig)
    record: RecordConfig = field(default_factory=RecordConfig)
    evaluate: EvaluateConfig = field(default_factory=EvaluateConfig)

    def __post_init__(self) -> None:
        if not self.method.is_hscl:
            self._require_nothing_of_hscl()
            return
        scoring, objective = self.evaluate.scoring, self.objective
        if objective.shift_loss and self.augment.rotations == 1:
            raise UsageError(
                "--augment.rotations is 1, so every view is upright and --objective.shift_loss has no turns to tell "
                "apart. Add --augment.rotations 2 or 4, or --objective.shift_loss false."
            )
        if self.augment.cached_views is not None:
            self._require_cacheable()
        if scoring == AUTO:
            return  # of what can be had
        needs = needs_of(scoring)
        if needs.rotation_head and not objective.shift_loss:
            raise UsageError(
                f"--evaluate.scoring is {scoring!r}, which needs rotation logits, but the rotation head is not "
                "trained. Add --objective.shift_loss true, or use --evaluate.scoring paper or rotations."
            )
        if needs.prototypes and objective.lambda_prototype == 0:
            raise UsageError(
                f"--evaluate.scoring is {scoring!r}, which needs prototypes, but --objective.lambda_prototype is 0, so "
                "they are not trained. Add --evaluate.scoring knn, or give lambda_prototype a positive value."
            )

    def _require_nothing_of_hscl(self) -> None:
        """Refuse what only HSCL can do, for which another method has no answer."""
        if self.evaluate.scoring != AUTO:
            raise UsageError(
                f"--evaluate.scoring is {self.evaluate.scoring!r}, but --method is {self.method.name!r}, which has a "
                "score of its own. Leave --evaluate.scoring out."
            )
        if self.evaluate.checkpoint != "last":
            raise UsageError(
                f"--evaluate.checkpoint is {self.evaluate.checkpoint!r}, but --method is {self.method.name!r}, which "
                "keeps the last checkpoint only. Leave --evaluate.checkpoint out."
            )
        if self.model.warm_start is not None:
            raise UsageError(
                f"--method is {self.method.name!r}, which cannot begin with the weights of {self.model.warm_start}. "
                "Leave --from and --model.warm_start out."
            )

    def _require_cacheable(self) -> None:
        views = self.augment.cached_views
        if not self.model.freeze:
            raise UsageError(
                f"--augment.cached_views is {views}, but the encoder is trained, so its features change with every "
                "step. Add --model.freeze true, or leave --augment.cached_views out."
            )
        if self.augment.rotations != 1:
            raise UsageError(
                f"--augment.cached_views is {views}, but --augment.rotations is {self.augment.rotations}, and the "
                "cache has no rotated copies. Add --augment.rotations 1, or leave --augment.cached_views out."
            )


SECTIONS: dict[str, type] = {section.name: section.default_factory for section in fields(Config)}  # type: ignore[misc]
