"""The network: a timm encoder, the projection head, an optional rotation head and the normal prototypes."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, NamedTuple

import torch
from hscl_kernels import unit
from torch import Tensor, nn

from hscl_fast.config.sections import ModelConfig
from hscl_fast.errors import UsageError
from hscl_fast.light_timm import timm
from hscl_fast.method.pretrained import create_encoder, input_statistics

SMALL_IMAGE = 64  # pixels; up to this size a ResNet has a stem without max-pool
_TINY_IMAGE = 16  # pixels; below this size four stages leave nothing to halve in the stem
_ROTATIONS = 4


class Features(NamedTuple):
    """``encoder [N, F]`` before the projection, ``embeddings [N, D]`` raw, ``rotation_logits [N, 4]`` or None."""

    encoder: Tensor
    embeddings: Tensor
    rotation_logits: Tensor | None

    def map(self, function: Callable[[Tensor], Tensor]) -> Features:
        """Return what a function makes of each."""
        logits = None if self.rotation_logits is None else function(self.rotation_logits)
        return Features(function(self.encoder), function(self.embeddings), logits)


class Network(nn.Module):
    """Encoder, heads and prototypes.

    Parameters
    ----------
    config
        Sizes of the network.
    image_size
        Side of the images in pixels; decides the stem.
    rotation_head
        Whether to add the four-way rotation classifier on the penultimate features.
    load
        Whether to load the encoder's weights that ``config`` names, as a new run does; otherwise a checkpoint brings
        them.

    Attributes
    ----------
    statistics
        Mean and standard deviation that the inputs are normalised with.
    prototypes
        Raw prototypes, ``[K, D]``; every use normalises them.
    encoder_features
        F, the number of features that the encoder returns.
    starts_trained
        Whether the encoder began with trained weights.
    image_size
        Side of the images in pixels.
    """

    def __init__(self, config: ModelConfig, image_size: int, *, rotation_head: bool, load: bool) -> None:
        super().__init__()
        self.image_size, self.statistics, self._frozen = image_size, input_statistics(config), config.freeze
        encoder: Any = _make_encoder(config, image_size, load=load)
        if config.freeze:
            encoder.requires_grad_(False)
        self.encoder = encoder
        # Some timm models widen their pooled features once more before the classifier that is left out here.
        features = getattr(encoder, "head_hidden_size", None) or encoder.num_features
        self.encoder_features: int = features
        self.starts_trained = config.starts_trained
        self.standardise = StandardDirections(features) if config.freeze else None
        hidden = features if config.projection_hidden is None else config.projection_hidden
        self.projection = nn.Sequential(*_layers(features, hidden, config.embedding_dim))
        self.rotation_head = nn.Linear(features, _ROTATIONS) if rotation_head else None
        self.prototypes = nn.Parameter(torch.empty(config.prototypes, config.embedding_dim))
        nn.init.xavier_uniform_(self.prototypes)

    def forward(self, views: Tensor) -> Features:
        """Return the features of ``views [N, 3, H, W]``."""
        with torch.set_grad_enabled(torch.is_grad_enabled() and not self._frozen):
            encoded = self.encoder(views)
        return self.heads(encoded)

    def heads(self, encoded: Tensor) -> Features:
        """Return the features of views that the encoder has seen: its output ``[N, F]``."""
        given = encoded if self.standardise is None else self.standardise(encoded)
        logits = None if self.rotation_head is None else self.rotation_head(given)
        return Features(encoded, self.projection(given), logits)

    def changing_buffers(self) -> list[Tensor]:
        """Return the buffers that training changes; those of a frozen encoder stay as they are."""
        own = {id(buffer) for buffer in self.encoder.buffers()} if self._frozen else set()
        return [buffer for buffer in self.buffers() if id(buffer) not in own]

    def train(self, mode: bool = True) -> Network:
        """Set the mode; a frozen encoder stays in evaluation mode, whose batch normalisation learns nothing."""
        super().train(mode)
        if self._frozen:
            self.encoder.eval()
        return self


class StandardDirections(nn.Module):
    """Brings each feature of a frozen encoder to mean 0 and variance 1, after making all rows equally long.

    The features of trained encoders differ a thousandfold in size, which no part of a frozen one can even out. It is a
    batch normalisation without weights, as in the linear probe of He et al. (Masked Autoencoders, CVPR 2022), so the
    mean and the variance of scoring are running ones of the training batches.
    """

    def __init__(self, features: int) -> None:
        super().__init__()
        self.length = math.sqrt(features)
        self.norm = nn.BatchNorm1d(features, affine=False)

    def forward(self, encoded: Tensor) -> Tensor:
        """Return float32 ``[N, F]``."""
        standard: Tensor = self.norm(unit(encoded.float()) * self.length)
        return standard


def _layers(features: int, hidden: int, dimension: int) -> list[nn.Module]:
    """Return the projection head; a hidden width of 0 makes it linear."""
    if not hidden:
        return [nn.Linear(features, dimension)]
    return [nn.Linear(features, hidden), nn.ReLU(), nn.Linear(hidden, dimension)]


def build_network(
    config: ModelConfig, image_size: int, *, rotation_head: bool, seed: int, load: bool = True
) -> Network:
    """Return a freshly initialised network; the same seed gives the same weights."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return Network(config, image_size, rotation_head=rotation_head, load=load)


def _make_encoder(config: ModelConfig, image_size: int, *, load: bool) -> nn.Module:
    name = config.encoder
    if not timm.is_model(name):
        near = ", ".join(timm.list_models(f"*{name[:6]}*")[:5]) or "resnet18"
        raise UsageError(
            f"--model.encoder is {name!r}, which timm does not know. Give a name from "
            f"timm.list_models(), such as: {near}."
        )
    if not name.startswith("resnet"):
        full = ModelConfig().width
        if config.width != full:
            raise UsageError(
                f"--model.width is {config.width}, but only resnet encoders can be narrowed and --model.encoder is "
                f"{name!r}. Give --model.width {full} (the recipe cpu narrows to 16), or use resnet18."
            )
        return create_encoder(config, image_size, load=load)

    width = config.width
    channels = (width, 2 * width, 4 * width, 8 * width)
    if image_size > SMALL_IMAGE or config.starts_trained:  # trained weights are those of the ordinary stem
        return create_encoder(config, image_size, load=load, channels=channels)
    # timm sizes the first stage's input by the "deep" stem's width; its three convolutions become one.
    stem = {"stem_type": "deep", "stem_width": width // 2}
    encoder: Any = create_encoder(config, image_size, load=load, channels=channels, **stem)
    stride = config.stem_stride if image_size >= _TINY_IMAGE else 1
    encoder.conv1 = nn.Conv2d(3, width, kernel_size=3, stride=stride, padding=1, bias=False)
    nn.init.kaiming_normal_(encoder.conv1.weight, mode="fan_out", nonlinearity="relu")
    encoder.maxpool = nn.Identity()
    return encoder
