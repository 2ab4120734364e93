"""``model``: encoder, projection head and prototypes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from hscl_fast.config.sections.requirements import require


@dataclass(frozen=True)
class ModelConfig:
    """Encoder, projection head and prototypes.

    Parameters
    ----------
    encoder
        Any timm model name. From scratch, ``resnet*`` gets a 3x3 stem without max-pool for images up to 64 pixels.
    pretrained
        Begin with timm's weights of the encoder, which are downloaded where they are not on this machine.
    weights
        Begin with the weights of this ``.safetensors`` file, under timm's names. They take the place of those of
        ``pretrained``, also where a recipe sets it.
    freeze
        Keep the encoder as it begins, and train the projection head and the prototypes only. Its features are
        standardised before the head.
    warm_start
        A run whose weights the training begins with, all of them, heads and prototypes included; the optimizer begins
        anew. ``--from`` sets it. The other fields of this section must be those of that run.
    width
        Channels of a ``resnet*``'s first stage, 16 or more (64 is the full network); the later stages double it.
    stem_stride
        Stride of that 3x3 stem: 1 keeps the full resolution, 2 halves it, at a quarter of the cost. Images below 16
        pixels keep theirs.
    projection_hidden
        Width of the projection head's hidden layer; 0: a linear head without one. Unset: the encoder's number of
        features.
    embedding_dim
        D, the dimension of the embeddings that the objective is computed on.
    prototypes
        K, the number of normal prototypes.
    """

    encoder: str = "resnet18"
    pretrained: bool = False
    weights: str | None = None
    freeze: bool = False
    warm_start: str | None = None
    width: int = 64
    stem_stride: Literal[1, 2] = 1
    projection_hidden: int | None = None
    embedding_dim: int = 128
    prototypes: int = 1

    def __post_init__(self) -> None:
        # oneDNN (uxlfoundation/oneDNN issue 6035) writes past its buffers in the backward pass of strided 1x1
        # convolutions on channels_last input narrower than a vector register, 16 channels on AVX-512.
        require(self.width >= 16 and self.width % 2 == 0, "model.width", self.width, "an even number, 16 or more")
        if self.weights is not None:
            # Not in capitals: timm takes a file of any other name for a pickle.
            require(self.weights.endswith(".safetensors"), "model.weights", self.weights, "a .safetensors file")
        if self.starts_trained:
            full = type(self).width
            require(self.width == full, "model.width", self.width, f"{full}, the width of pretrained weights")
        if self.freeze:
            require(
                self.starts_trained, "model.freeze", self.freeze, "false without --model.pretrained or --model.weights"
            )
        if self.projection_hidden is not None:
            require(self.projection_hidden >= 0, "model.projection_hidden", self.projection_hidden, "0 or more")
        require(self.embedding_dim > 1, "model.embedding_dim", self.embedding_dim, "2 or more")
        require(1 <= self.prototypes <= 256, "model.prototypes", self.prototypes, "between 1 and 256")

    @property
    def starts_trained(self) -> bool:
        """Whether the encoder begins with trained weights."""
        return self.pretrained or self.weights is not None
