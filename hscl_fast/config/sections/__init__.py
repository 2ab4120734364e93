"""The configuration: frozen typed dataclasses that define both the YAML file and the command-line flags.

A section is a file. Every field is read somewhere; every value is validated once, here, when the dataclass is built.
"""

from hscl_fast.config.sections.augment import AugmentConfig
from hscl_fast.config.sections.data import NO_PICTURE, NOT_PREPARED, VERIFIED, DataConfig
from hscl_fast.config.sections.evaluate import CheckpointName, EvaluateConfig
from hscl_fast.config.sections.method import MethodConfig
from hscl_fast.config.sections.model import ModelConfig
from hscl_fast.config.sections.objective import ObjectiveConfig
from hscl_fast.config.sections.optim import OptimConfig
from hscl_fast.config.sections.record import RecordConfig
from hscl_fast.config.sections.runtime import RuntimeConfig
from hscl_fast.config.sections.whole import SECTIONS, Config

__all__ = [
    "NOT_PREPARED",
    "NO_PICTURE",
    "SECTIONS",
    "VERIFIED",
    "AugmentConfig",
    "CheckpointName",
    "Config",
    "DataConfig",
    "EvaluateConfig",
    "MethodConfig",
    "ModelConfig",
    "ObjectiveConfig",
    "OptimConfig",
    "RecordConfig",
    "RuntimeConfig",
]
