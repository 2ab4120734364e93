"""What every comparator is: it learns from images with roles, scores images, and can be saved and loaded."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal, Protocol

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from hscl_fast.config.sections import Config
from hscl_fast.device import Execution
from hscl_fast.method.image_batches import ImageSequence

Mode = Literal["shared", "original"]
Scores = NDArray[np.float64]
State = dict[str, Tensor]


@dataclass(frozen=True)
class VisibleImages:
    """The images that a comparator may see. Test images are not among them.

    Attributes
    ----------
    images, roles
        uint8 ``[n, H, W, 3]`` and int8 ``[n]``: +1 labelled normal, 0 unlabelled, -1 labelled anomaly.
    held_out, held_out_roles
        uint8 ``[m, H, W, 3]`` and int8 ``[m]`` in {+1, -1}: labelled images kept out of training, on which a setting
        may be selected. m may be 0; then the method's stated default is used.
    """

    images: NDArray[np.uint8]
    roles: NDArray[np.int8]
    held_out: NDArray[np.uint8]
    held_out_roles: NDArray[np.int8]


@dataclass(frozen=True)
class Setting:
    """How a comparator is trained.

    Attributes
    ----------
    config
        The run's configuration. In the mode ``shared`` a method with a network takes its encoder (``model``), its views
        (``augment``), its rate and batches (``optim``), and passes as many views through the encoder in training as
        HSCL would in ``total_steps`` steps. In the mode ``original`` network and schedule are those of the method's
        publication, shortened where that would be more views. Methods without a network have one mode.
    mode
        ``shared`` or ``original``.
    execution
        Device, precision and compile mode.
    image_size
        Side of the images in pixels.
    total_steps
        Steps of HSCL with this configuration.
    """

    config: Config
    mode: Mode
    execution: Execution
    image_size: int
    total_steps: int


class Progress(Protocol):
    """Where a comparator reports its steps, and what it continues from.

    Attributes
    ----------
    saved
        What ``state`` returned at the last checkpoint of an interrupted run; None at the beginning.
    """

    saved: State | None

    def advance(self, step: int, total: int, state: Callable[[], State], **figures: float | Tensor) -> None:
        """Note that ``step`` of ``total`` steps are done.

        ``state`` is called where a checkpoint is due, and must return everything that the next step depends on, the
        number of the step with it. ``figures`` are losses, which stay on the device until a row of them is due.

        Raises
        ------
        Interrupted
            A signal asked to stop; the state has been saved.
        """


class Comparator(ABC):
    """A detector that is trained and scored on the same split as HSCL.

    The constructor builds it untrained from a :class:`Setting`. The same setting, seed (``config.runtime.seed``) and
    images give the same scores, also after an interruption.

    Attributes
    ----------
    passes
        Views that go through the network for each image that is scored.
    """

    passes: int = 1

    def __init__(self, setting: Setting) -> None:
        self.setting = setting

    @abstractmethod
    def fit(self, given: VisibleImages, progress: Progress) -> None:
        """Train, or go on from ``progress.saved``."""

    @abstractmethod
    def score(self, images: ImageSequence) -> Scores:
        """Return the normality of uint8 images ``[n, H, W, 3]``, float64 ``[n]``, higher = more normal.

        Each image is scored by itself.
        """

    @abstractmethod
    def state(self) -> State:
        """Return all that :meth:`score` needs, as named tensors."""

    @abstractmethod
    def load(self, state: State) -> None:
        """Take what :meth:`state` of a comparator of the same setting returned.

        Raises
        ------
        ValueError
            It does not fit; the message is a predicate such as ``has no centre``.
        """

    def embed(self, images: ImageSequence) -> NDArray[np.float32] | None:
        """Return the features ``[n, F]`` that t-SNE is drawn from, or None if the method has none."""
        return None
