"""Prepares a network for training by several ranks: global batch normalisation, averaged gradients."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, TypeVar

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.distributed import ProcessGroup
from torch.nn.parallel import DistributedDataParallel

from hscl_fast.ranks.batch_norm import convert_batch_norm
from hscl_fast.ranks.group import Ranks

Model = TypeVar("Model", bound=nn.Module)


def data_parallel(
    model: Model, ranks: Ranks, touch_all: Callable[[Model, Callable[[Tensor], Any]], Tensor], *, in_backward: bool
) -> Callable[[Tensor], Any]:
    """Return the model's forward pass, with batch normalisation over all ranks; for a single process the model itself.

    Parameters
    ----------
    model
        The network, on its device; its parameters and buffers stay the same tensors.
    ranks
        The processes that train it.
    touch_all
        Function from the model and a forward pass to a scalar that depends on every trained parameter.
    in_backward
        Whether ``backward()`` averages the gradients and sends them meanwhile, through DistributedDataParallel, which
        cannot be part of a graph; parameters that do not affect the output are frozen. Otherwise the caller averages
        them with :func:`average_gradients`.
    """
    if ranks.group is None:
        return model
    convert_batch_norm(model, ranks.group)
    if not in_backward:
        return model
    device = next(model.parameters()).device

    def try_backward(forward: Callable[[Tensor], Any]) -> None:
        model.eval()  # keeps the batch statistics unchanged
        touch_all(model, forward).backward()
        model.train()

    try_backward(model)
    for parameter in model.parameters():
        parameter.requires_grad_(parameter.grad is not None)
    model.zero_grad(set_to_none=True)
    parallel = DistributedDataParallel(
        model,
        device_ids=[device.index] if device.type == "cuda" else None,
        process_group=ranks.group,
        forward_sync_buffers=False,  # already equal
    )
    # The first backward pass determines how gradients are packed, and so the order in which they are added. If it were
    # that of a step, a resumed run would add its first gradients in another order than the uninterrupted run.
    try_backward(parallel)
    model.zero_grad(set_to_none=True)
    return parallel


def average_gradients(gradients: Sequence[Tensor | None], group: ProcessGroup) -> list[Tensor | None]:
    """Return the gradients averaged over the ranks, None where they are None (on all ranks); can be part of a graph."""
    present = [gradient for gradient in gradients if gradient is not None]
    flat = torch.cat([gradient.flatten() for gradient in present])
    dist.all_reduce(flat, group=group)
    means = iter((flat / group.size()).split([gradient.numel() for gradient in present]))
    return [None if gradient is None else next(means).view_as(gradient) for gradient in gradients]
