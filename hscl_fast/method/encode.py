"""Runs a frozen encoder once over images, so that a head can be trained on its features alone."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from hscl_kernels import ViewParameters, augment_views
from numpy.typing import NDArray
from torch import Tensor

from hscl_fast.config.sections import AugmentConfig
from hscl_fast.device import Execution, encoder_precision
from hscl_fast.method.augment import draw_views
from hscl_fast.method.image_batches import Advance, ImageSequence, ignore, on_device, slices
from hscl_fast.method.network import Network

_BATCH = 64  # images; larger batches leave the caches of a CPU


@dataclass(frozen=True, eq=False)
class CachedFeatures:
    """The encoder's features of the images that training and calibration see.

    Attributes
    ----------
    views
        float32 ``[n, V, F]`` of the training images; the first view is upright and not augmented.
    held_out
        float32 ``[m, F]`` of the held-out images, upright.
    seconds
        Time to compute them.
    """

    views: Tensor
    held_out: Tensor
    seconds: float

    def of_training(self, images: ImageSequence, rows: NDArray[np.bool_]) -> EncodedImages:
        """Return training images ``[k, H, W, 3]`` with their features: those of which ``rows [n]`` is True."""
        return EncodedImages(images, self.views[:, 0][torch.from_numpy(rows)])

    def of_held_out(self, images: ImageSequence) -> EncodedImages:
        """Return the held-out images with their features."""
        return EncodedImages(images, self.held_out)


@dataclass(frozen=True, eq=False)
class EncodedImages:
    """Images that a frozen encoder has seen already; a sequence of the images.

    Attributes
    ----------
    images
        uint8 ``[n, H, W, 3]``.
    features
        float32 ``[n, F]`` of the upright images.
    """

    images: ImageSequence
    features: Tensor

    def __len__(self) -> int:
        return len(self.images)

    def __getitem__(self, key: slice) -> NDArray[Any]:
        return self.images[key]


@torch.no_grad()  # not inference_mode, whose tensors a loss cannot be differentiated through
def encode_images(
    network: Network,
    images: ImageSequence,
    augment: AugmentConfig,
    execution: Execution,
    *,
    views: int,
    seed: int,
    advance: Advance = ignore,
) -> Tensor:
    """Return the encoder's features of some views of every image.

    Parameters
    ----------
    network
        On its device; its encoder must be in evaluation mode.
    images
        uint8 ``[n, H, W, 3]``.
    augment
        How views after the first are drawn.
    execution
        Device and precision.
    views
        V. The first view is upright and not augmented; the others are drawn from ``augment``.
    seed
        Seed of the drawn views, which depend on it and on the place of the image only.
    advance
        Called with the number of images of every batch.

    Returns
    -------
    Tensor
        float32 ``[n, V, F]`` on the CPU.
    """
    device, precision = execution.device, execution.precision
    mean, std = network.statistics
    encoded, first = [], 0
    for batch in on_device(slices(images, max(1, _BATCH // views)), device, advance):
        places = torch.arange(len(batch), device=device)
        parts = [ViewParameters.identity(places, torch.zeros_like(places))]
        for view in range(1, views):
            parts.append(
                draw_views(
                    augment,
                    first + places,
                    seed=torch.tensor(seed, device=device),
                    step=torch.tensor(view, device=device),
                    size=(batch.shape[1], batch.shape[2]),
                    views=1,
                )
            )
        parameters = ViewParameters(*(torch.cat(fields) for fields in zip(*parts, strict=True)))
        rendered = augment_views(batch, parameters, dtype=precision, mean=mean, std=std, backend=augment.backend)
        with encoder_precision(device, precision):
            features = network.encoder(rendered)  # [V * B, F]
        encoded.append(features.float().view(views, len(batch), -1).transpose(0, 1).cpu())
        first += len(batch)
    return torch.cat(encoded) if encoded else torch.zeros(0, views, network.encoder_features)
