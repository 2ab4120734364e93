"""Embeds images: the unit vectors that the objective is computed on, of un-augmented views."""

from __future__ import annotations

import numpy as np
import torch
from hscl_kernels import augment_views, unit
from numpy.typing import NDArray

from hscl_fast.config.sections import AugmentConfig
from hscl_fast.device import Execution, encoder_precision
from hscl_fast.method.image_batches import Advance, ImageSequence, ignore, on_device, slices
from hscl_fast.method.network import Network
from hscl_fast.method.scoring.views import ViewSet

_UPRIGHT = ViewSet(turns=1)


@torch.inference_mode()
def embed_images(
    network: Network,
    images: ImageSequence,
    augment: AugmentConfig,
    execution: Execution,
    batch_size: int,
    advance: Advance = ignore,
) -> NDArray[np.float32]:
    """Return the embeddings of images.

    Parameters
    ----------
    network
        The trained network, in evaluation mode on its device.
    images
        uint8 ``[n, H, W, 3]``.
    augment
        Its ``backend`` renders the views.
    execution
        Device and precision.
    batch_size
        Images per batch.
    advance
        Called with the number of images of every batch.

    Returns
    -------
    float32 ``[n, D]``
        Of length 1 each.
    """
    mean, std = network.statistics
    found = []
    for batch in on_device(slices(images, batch_size), execution.device, advance):
        parameters = _UPRIGHT.parameters(batch, augment)
        views = augment_views(batch, parameters, dtype=execution.precision, mean=mean, std=std, backend=augment.backend)
        with encoder_precision(execution.device, execution.precision):
            embeddings = network(views).embeddings
        found.append(unit(embeddings.float()).cpu())
    embedded: NDArray[np.float32] = torch.cat(found).numpy()
    return embedded
