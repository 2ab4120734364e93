"""A classifier of views: an encoder and a linear layer."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from hscl_fast.comparators.blocks.preactivation import PreActivationNetwork
from hscl_fast.comparators.blocks.upright import run_upright
from hscl_fast.comparators.comparator import Setting
from hscl_fast.method.image_batches import ImageSequence
from hscl_fast.method.network import Network, build_network
from hscl_fast.method.pretrained import FROM_SCRATCH, InputStatistics


class Classified(NamedTuple):
    """``features [N, F]`` before the last layer, and ``logits [N, classes]``, both float32."""

    features: Tensor
    logits: Tensor


class Classifier(nn.Module):
    """An encoder and a linear layer.

    Parameters
    ----------
    encoder
        From views ``[N, 3, H, W]`` to features ``[N, F]``.
    features
        F.
    classes
        Number of classes.
    statistics
        Mean and standard deviation that views are normalised with.
    """

    def __init__(self, encoder: nn.Module, features: int, classes: int, statistics: InputStatistics) -> None:
        super().__init__()
        self.encoder, self.statistics = encoder, statistics
        self.head = nn.Linear(features, classes)

    def forward(self, views: Tensor) -> Classified:
        """Return features and logits of ``views [N, 3, H, W]``."""
        features = self.encoder(views)
        return Classified(features.float(), self.head(features).float())


class _RunEncoder(nn.Module):
    """The encoder of the run. A frozen one stays in evaluation mode, and its features are standardised."""

    def __init__(self, network: Network, *, frozen: bool) -> None:
        super().__init__()
        self.encoder, self.standardise, self.frozen = network.encoder, network.standardise, frozen

    def forward(self, views: Tensor) -> Tensor:
        with torch.set_grad_enabled(torch.is_grad_enabled() and not self.frozen):
            encoded: Tensor = self.encoder(views)
        return encoded if self.standardise is None else self.standardise(encoded)

    def train(self, mode: bool = True) -> _RunEncoder:
        super().train(mode)
        if self.frozen:
            self.encoder.eval()
        return self


def make_classifier(
    setting: Setting, classes: int, original: Callable[[], PreActivationNetwork], *, place: int = 0
) -> Classifier:
    """Return a classifier, untrained on its device; the same seed gives the same weights.

    Parameters
    ----------
    setting
        In the mode ``shared`` it has the run's encoder.
    classes
        Number of classes.
    original
        The encoder in the mode ``original``.
    place
        Of this classifier among those of a comparator: others begin with other weights.
    """
    seed = (setting.config.runtime.seed + place) % 2**63
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        if setting.mode == "original":
            encoder = original()
            made = Classifier(encoder, encoder.features, classes, FROM_SCRATCH)
        else:
            model = setting.config.model
            network = build_network(model, setting.image_size, rotation_head=False, seed=seed)
            run_encoder = _RunEncoder(network, frozen=model.freeze)
            made = Classifier(run_encoder, network.encoder_features, classes, network.statistics)
    return made.to(setting.execution.device).to(memory_format=torch.channels_last)


def embed_upright(model: Classifier, images: ImageSequence, setting: Setting) -> NDArray[np.float32]:
    """Return the features ``[n, F]`` of images as they are."""
    model.eval()
    features = run_upright(
        lambda views: model(views).features,
        images,
        setting.execution,
        model.statistics,
        batch=setting.config.evaluate.batch_size,
    )
    found: NDArray[np.float32] = features.cpu().numpy()
    return found
