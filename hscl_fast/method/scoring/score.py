"""The base class of the normality scores: what one is computed from, learns, and says of an image."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import ClassVar, NamedTuple

from torch import Tensor

from hscl_fast.method.network import Network
from hscl_fast.method.scoring.views import Outputs, Views

Shape = tuple[int | None, ...]  # None for any size


class Training(NamedTuple):
    """The evidence of the training images.

    Attributes
    ----------
    known
        ``[n, ...]``, of all but the labelled anomalies.
    normal
        bool ``[n]``, True for the labelled normals among them.
    anomalies
        ``[m, ...]``, of the labelled anomalies; None if there are none.
    """

    known: Tensor
    normal: Tensor
    anomalies: Tensor | None


class Score(ABC):
    """A normality score, higher = more normal.

    What a score needs of an image is its *evidence*, which takes one pass of the network. Constants, and the scores
    themselves, follow from the evidence alone.

    Parameters
    ----------
    network
        The trained network.

    Attributes
    ----------
    views
        The views of an image that the evidence is computed from.
    sees_pixels
        Whether it is computed from the image itself.
    constants
        What it has learned from the training images, float32 by name.
    """

    views: ClassVar[Views] = Views.UPRIGHT
    sees_pixels: ClassVar[bool] = False

    def __init__(self, network: Network) -> None:
        self.network = network
        self.constants: dict[str, Tensor] = {}

    @abstractmethod
    def evidence(self, outputs: Outputs) -> Tensor:
        """Return float32 ``[B, ...]``; scores that inherit this method from one class share its result."""

    @abstractmethod
    def score(self, evidence: Tensor) -> Tensor:
        """Return the scores ``[B]`` of evidence ``[B, ...]``."""

    def constant_shapes(self) -> dict[str, Shape]:
        """Return the shape of every constant; empty for a score that learns nothing."""
        return {}

    def learn(self, training: Training) -> dict[str, Tensor]:
        """Return the constants, float32."""
        return {}

    def score_known(self, known: Tensor) -> Tensor:
        """Return the scores of the training images, whose evidence it has learned from, as if each were new."""
        return self.score(known)
