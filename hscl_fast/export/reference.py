"""The run itself, which an export is compared with: in float32, on the CPU."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Self

import numpy as np
import torch
from numpy.typing import NDArray

from hscl_fast.config.sections import Config
from hscl_fast.data.decode import resize_images
from hscl_fast.data.types import Images
from hscl_fast.evaluation.convention import anomaly_scores
from hscl_fast.method.scoring.scoring import Scoring
from hscl_fast.runs.calibration import Calibration, load_calibrated
from hscl_fast.runs.directory import RunDirectory


@dataclass(frozen=True)
class Reference:
    """A run's score as ``hscl predict`` computes it with ``--runtime.precision float32``."""

    scoring: Scoring
    calibration: Calibration

    @classmethod
    def load(cls, directory: RunDirectory, config: Config, evaluation: str | None) -> Self:
        """Load a run: see :func:`hscl_fast.runs.calibration.load_calibrated`."""
        used = replace(
            config,
            augment=replace(config.augment, backend="auto"),  # it may be one for GPUs only
            runtime=replace(config.runtime, precision="float32", compile="off"),
        )
        return cls(*load_calibrated(directory, used, torch.device("cpu"), evaluation))

    @property
    def threshold(self) -> float:
        """The highest anomaly score of an image that is called normal."""
        return self.calibration.threshold

    def __call__(self, images: Images) -> NDArray[np.float64]:
        """Return the anomaly scores of decoded images of any size, uint8 ``[B, H, W, 3]``."""
        return anomaly_scores(self.scoring.score(resize_images(images, self.calibration.image_size)))
