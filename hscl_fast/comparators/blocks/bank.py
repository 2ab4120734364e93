"""Embeddings of images, averaged over several crops of each, for every quarter turn."""

from __future__ import annotations

from typing import NamedTuple

import torch
from hscl_kernels import ViewParameters, augment_views
from torch import Tensor

from hscl_fast.config.sections import AugmentConfig
from hscl_fast.device import Execution, encoder_precision
from hscl_fast.method.augment import draw_views
from hscl_fast.method.image_batches import ImageSequence, on_device, slices
from hscl_fast.method.network import Network

_SEED = 0  # every image gets the same crops, so that its score depends on nothing but itself
_ROWS = 2000  # views that go through the network at once


class Bank(NamedTuple):
    """``embeddings [n, R, D]`` raw, and ``rotation_logits [n, R, 4]`` or None, both float32 means over the crops."""

    embeddings: Tensor
    rotation_logits: Tensor | None


@torch.no_grad()
def embed_crops(
    network: Network, images: ImageSequence, augment: AugmentConfig, execution: Execution, *, crops: int
) -> Bank:
    """Return what the network says of random crops of images, the same crops for all.

    Parameters
    ----------
    network
        In evaluation mode, on its device.
    images
        uint8 ``[n, H, W, 3]``.
    augment
        How the crops are drawn: with ``crop_area``, the flip and the colours of this policy, in R ``rotations``.
    execution
        Device and precision.
    crops
        Crops of every image and rotation.

    Returns
    -------
    Bank
        On the network's device. An image's own rows do not depend on the others.
    """
    mean, std = network.statistics
    embeddings, logits = [], []
    for batch in on_device(slices(images, max(1, _ROWS // (crops * augment.rotations))), execution.device):
        parameters = _crops(batch, augment, crops)
        views = augment_views(batch, parameters, dtype=execution.precision, mean=mean, std=std, backend=augment.backend)
        with encoder_precision(execution.device, execution.precision):
            found = network(views).map(lambda x: x.float())
        shape = (crops, augment.rotations, len(batch), -1)
        embeddings.append(found.embeddings.view(shape).mean(dim=0).transpose(0, 1))
        if found.rotation_logits is not None:
            logits.append(found.rotation_logits.view(shape).mean(dim=0).transpose(0, 1))
    return Bank(torch.cat(embeddings), torch.cat(logits) if logits else None)


def _crops(images: Tensor, augment: AugmentConfig, crops: int) -> ViewParameters:
    """Return the parameters of the crops, ``[crops * R * B]`` rows."""
    indices = torch.zeros(len(images), dtype=torch.int64, device=images.device)
    size = (images.shape[1], images.shape[2])
    seed = torch.tensor(_SEED, device=images.device)
    steps = torch.arange(crops, device=images.device)
    parts = [draw_views(augment, indices, seed=seed, step=step, size=size, views=1) for step in steps]
    return ViewParameters(*(torch.cat(fields) for fields in zip(*parts, strict=True)))
