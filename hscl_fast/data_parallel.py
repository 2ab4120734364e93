"""The model as several ranks train it: gradients averaged in backward, batch statistics over all ranks on GPUs."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from timm.layers import convert_sync_batchnorm
from torch import Tensor
from torch.nn.parallel import DistributedDataParallel

from hscl_fast.distributed import Ranks
from hscl_fast.model import Detector, Features


def data_parallel(model: Detector, ranks: Ranks) -> Callable[[Tensor], Features]:
    """Return the forward pass that averages gradients over the ranks; for a single process the model itself.

    On GPUs the model's batch normalisation is replaced by one over all ranks' rows, which torch has for GPUs only: on
    the CPU each rank normalises by its own rows. Parameters that have no part in the output are frozen.

    Parameters
    ----------
    model
        The detector, on its device; its parameters stay the same tensors.
    ranks
        Who trains it.
    """
    if ranks.group is None:
        return model
    device = model.prototypes.device
    if device.type == "cuda":
        convert_sync_batchnorm(model, ranks.group)  # timm's, which keeps the activation in its own normalisations
    _try_backward(model, model)
    for parameter in model.parameters():
        parameter.requires_grad_(parameter.grad is not None)
    model.zero_grad(set_to_none=True)
    parallel = DistributedDataParallel(
        model,
        device_ids=[device.index] if device.type == "cuda" else None,
        process_group=ranks.group,
        forward_sync_buffers=False,  # equal already on GPUs; on the CPU only the first rank's are kept
    )
    # The first backward decides how gradients are packed, which decides in what order they are added. Were it a step's,
    # a resumed run would add its first step's gradients in another order than the uninterrupted one.
    _try_backward(parallel, model)
    model.zero_grad(set_to_none=True)
    return parallel


def _try_backward(forward: Callable[[Tensor], Any], model: Detector) -> None:
    """Fill the gradients with whatever an empty picture gives, without touching the batch statistics."""
    model.eval()
    size = model.image_size
    features = forward(torch.zeros(2, 3, size, size, device=model.prototypes.device))
    used = [features.embeddings, model.prototypes, features.rotation_logits]
    torch.stack([tensor.sum() for tensor in used if tensor is not None]).sum().backward()
    model.train()
