"""``optim``: the optimizer and its schedule."""

from __future__ import annotations

from dataclasses import dataclass

from hscl_fast.config.sections.requirements import require, require_not_negative, require_positive


@dataclass(frozen=True)
class OptimConfig:
    """Adam with linear warm-up, then cosine decay to zero.

    Parameters
    ----------
    epochs
        Passes over the training images.
    max_steps
        Upper limit on the number of steps; the learning-rate schedule is shortened to it.
    batch_size
        B, images per step over all ranks; 2 R B rows go through the encoder (2 views x R ``augment.rotations``).
    learning_rate
        Peak learning rate, reached at the end of the warm-up.
    encoder_rate
        Factor of the learning rate for the encoder, such as 0.1 for one that begins trained beside heads that do not.
    warmup_share
        Share of all steps that the linear warm-up takes (in the paper, 10 of 250 epochs).
    weight_decay
        Adam's L2 penalty.
    clip_norm
        Largest gradient norm; larger gradients are scaled down. Unset: no clipping.
    """

    epochs: int = 250
    max_steps: int | None = None
    batch_size: int = 256
    learning_rate: float = 1e-3
    encoder_rate: float = 1.0
    warmup_share: float = 0.04
    weight_decay: float = 0.0
    clip_norm: float | None = None

    def __post_init__(self) -> None:
        require(self.epochs >= 1, "optim.epochs", self.epochs, "1 or more")
        if self.max_steps is not None:
            require(self.max_steps >= 1, "optim.max_steps", self.max_steps, "1 or more")
        require(self.batch_size >= 2, "optim.batch_size", self.batch_size, "2 or more")
        require_positive("optim", {"learning_rate": self.learning_rate, "encoder_rate": self.encoder_rate})
        require(0 <= self.warmup_share <= 1, "optim.warmup_share", self.warmup_share, "a share in [0, 1]")
        require_not_negative("optim", {"weight_decay": self.weight_decay})
        if self.clip_norm is not None:
            require_positive("optim", {"clip_norm": self.clip_norm})
