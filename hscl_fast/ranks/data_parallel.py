"""The model as several ranks train it: normalised by all ranks' rows, its gradients averaged over them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor
from torch.distributed import ProcessGroup
from torch.nn.parallel import DistributedDataParallel

from hscl_fast.method.network import Detector, Features
from hscl_fast.ranks.batch_norm import convert_batch_norm
from hscl_fast.ranks.group import Ranks


def data_parallel(model: Detector, ranks: Ranks, *, in_backward: bool) -> Callable[[Tensor], Features]:
    """Return the model's forward pass, with batch normalisation over all ranks; for a single process the model itself.

    Parameters
    ----------
    model
        The detector, on its device; its parameters and buffers stay the same tensors.
    ranks
        Who trains it.
    in_backward
        Whether ``backward()`` is to average the gradients, sending them while it goes on, by DistributedDataParallel,
        which cannot be part of a graph; then parameters that have no part in the output are frozen. Else
        :func:`average_gradients` is to be called.
    """
    if ranks.group is None:
        return model
    convert_batch_norm(model, ranks.group)
    if not in_backward:
        return model
    device = model.prototypes.device
    _try_backward(model, model)
    for parameter in model.parameters():
        parameter.requires_grad_(parameter.grad is not None)
    model.zero_grad(set_to_none=True)
    parallel = DistributedDataParallel(
        model,
        device_ids=[device.index] if device.type == "cuda" else None,
        process_group=ranks.group,
        forward_sync_buffers=False,  # equal already
    )
    # The first backward decides how gradients are packed, which decides in what order they are added. Were it a step's,
    # a resumed run would add its first step's gradients in another order than the uninterrupted one.
    _try_backward(parallel, model)
    model.zero_grad(set_to_none=True)
    return parallel


def average_gradients(gradients: Sequence[Tensor | None], group: ProcessGroup) -> list[Tensor | None]:
    """Return the means of gradients over the ranks, which all lack the same ones; can be part of a graph."""
    present = [gradient for gradient in gradients if gradient is not None]
    flat = torch.cat([gradient.flatten() for gradient in present])
    dist.all_reduce(flat, group=group)
    means = iter((flat / group.size()).split([gradient.numel() for gradient in present]))
    return [None if gradient is None else next(means).view_as(gradient) for gradient in gradients]


def _try_backward(forward: Callable[[Tensor], Any], model: Detector) -> None:
    """Fill the gradients with whatever an empty picture gives, without touching the batch statistics."""
    model.eval()
    size = model.image_size
    features = forward(torch.zeros(2, 3, size, size, device=model.prototypes.device))
    used = [features.embeddings, model.prototypes, features.rotation_logits]
    torch.stack([tensor.sum() for tensor in used if tensor is not None]).sum().backward()
    model.train()
