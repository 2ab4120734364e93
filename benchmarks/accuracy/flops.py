"""The floating-point operations of a training, from those of one view.

Counted are the products of convolutions, linear layers and attention (a multiplication and an addition are two), as
:mod:`torch.utils.flop_counter` does. Backward is taken for twice the forward: once for the gradients of the inputs and
once for those of the weights.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from hscl_fast.config.sections import Config
from hscl_fast.method.network import build_network

FORWARD_AND_BACKWARD = 3


@dataclass(frozen=True)
class ViewFlops:
    """The operations of one view's forward pass.

    Attributes
    ----------
    encoder
        Of the encoder.
    heads
        Of the projection head and the rotation head.
    """

    encoder: int
    heads: int


def view_flops(config: Config, image_size: int) -> ViewFlops:
    """Return the operations of a run's network for one view of ``image_size`` pixels a side."""
    head = config.objective.shift_loss
    network = build_network(config.model, image_size, rotation_head=head, seed=0, load=False).eval()
    view = torch.zeros(1, 3, image_size, image_size)
    encoder = _forward(network.encoder, view)
    return ViewFlops(encoder, _forward(network, view) - encoder)


def training_flops(config: Config, view: ViewFlops, *, views: int, images: int) -> int:
    """Return the operations of a whole training.

    All layers do 3 forward passes' worth per view. A frozen encoder does 1 per view; with cached features, 1 per cached
    view of every image. Scoring is not counted.

    Parameters
    ----------
    config
        The run's configuration.
    view
        The operations of one view.
    views
        Views of the whole training.
    images
        Training images.
    """
    passes = views * FORWARD_AND_BACKWARD
    if config.model.freeze:
        cached = config.augment.cached_views
        passes = views if cached is None else images * cached
    return view.encoder * passes + view.heads * views * FORWARD_AND_BACKWARD


def _forward(module: nn.Module, view: torch.Tensor) -> int:
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        module(view)
    return int(counter.get_total_flops())
