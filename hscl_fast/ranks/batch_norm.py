"""Batch normalisation with the statistics of all ranks' rows, on any device and within a compiled step.

It replaces torch's SyncBatchNorm, which runs on GPUs only, waits for the device in every forward pass and cannot be
part of one graph.
"""

from __future__ import annotations

from typing import Any

import torch
import torch.distributed as dist
import torch.nn.functional as F
from torch import Tensor, nn
from torch.distributed import ProcessGroup
from torch.nn.modules.batchnorm import _BatchNorm


def convert_batch_norm(model: nn.Module, group: ProcessGroup) -> None:
    """Replace every batch normalisation in the model by one over the group; parameters and buffers stay the same."""
    for module in list(model.modules()):
        for name, child in module.named_children():
            if isinstance(child, _BatchNorm) and child.track_running_stats:
                setattr(module, name, GlobalBatchNorm(child, group).train(child.training))


class GlobalBatchNorm(nn.Module):
    """Batch normalisation over the rows of all ranks, each of which has the same number of rows.

    Parameters
    ----------
    local
        The normalisation whose parameters, buffers and, for timm's, activation this one takes over.
    group
        The ranks.
    """

    running_mean: Tensor
    running_var: Tensor
    num_batches_tracked: Tensor

    def __init__(self, local: _BatchNorm, group: ProcessGroup) -> None:
        super().__init__()
        self.eps, self.momentum, self.group = local.eps, local.momentum, group
        self.weight, self.bias = local.weight, local.bias
        for name, buffer in local.named_buffers(recurse=False):
            self.register_buffer(name, buffer)
        # timm's normalisations include drop-out and activation
        self.drop, self.act = getattr(local, "drop", nn.Identity()), getattr(local, "act", nn.Identity())

    def forward(self, x: Tensor) -> Tensor:
        """Return ``x [N, C, ...]`` normalised per channel: over all ranks' rows in training, else by running means."""
        if self.training:
            normalised, mean, variance = _Normalise.apply(x, self.weight, self.bias, self.eps, self.group)
            self._remember(mean, variance, self.group.size() * x.numel() // x.shape[1])
        else:
            normalised = F.batch_norm(
                x, self.running_mean, self.running_var, self.weight, self.bias, training=False, eps=self.eps
            )
        return self.act(self.drop(normalised))

    @torch.no_grad()
    def _remember(self, mean: Tensor, variance: Tensor, rows: int) -> None:
        self.num_batches_tracked += 1
        momentum = 1 / self.num_batches_tracked if self.momentum is None else self.momentum
        self.running_mean.lerp_(mean, momentum)
        self.running_var.lerp_(variance * (rows / max(rows - 1, 1)), momentum)


class _Normalise(torch.autograd.Function):
    """(x - mean) / sqrt(variance + eps) * weight + bias, and the mean and (biased) variance over all ranks, float32."""

    @staticmethod
    def forward(
        ctx: Any, x: Tensor, weight: Tensor | None, bias: Tensor | None, eps: float, group: ProcessGroup
    ) -> tuple[Tensor, Tensor, Tensor]:
        own = torch.stack(_moments(x))
        everyone = own.new_empty((group.size() * 2, own.shape[1]))
        dist.all_gather_into_tensor(everyone, own, group=group)
        means, variances = everyone.view(group.size(), 2, -1).unbind(1)
        mean = means.mean(0)
        variance = variances.mean(0) + (means - mean).square().mean(0)
        ctx.eps, ctx.group = eps, group
        ctx.save_for_backward(x, weight, mean, variance)
        ctx.mark_non_differentiable(mean, variance)
        return F.batch_norm(x, mean, variance, weight, bias, training=False, eps=eps), mean, variance

    @staticmethod
    def backward(ctx: Any, gradient: Tensor, *_: Tensor) -> tuple[Tensor | None, ...]:
        x, weight, mean, variance = ctx.saved_tensors
        factor = torch.ones_like(mean) if weight is None else weight
        # This rank's sums of gradient * normalised x and of gradient, which are also the gradients of weight and bias.
        _, by_weight, by_bias = torch.ops.aten.native_batch_norm_backward(
            gradient, x, factor, mean, variance, None, None, False, ctx.eps, [False, True, True]
        )
        means = torch.stack((by_weight, by_bias))
        dist.all_reduce(means, group=ctx.group)
        means = means / (ctx.group.size() * x.numel() // x.shape[1])
        # (gradient - mean(gradient * n) * n - mean(gradient)) * weight / deviation, where n is the normalised x
        slope = factor * (variance + ctx.eps).rsqrt()
        along, constant = means * slope
        by_x = gradient * slope.view(1, -1, *[1] * (x.dim() - 2))  # float32, as the difference needs
        by_x -= F.batch_norm(x.float(), mean, variance, along, constant, training=False, eps=ctx.eps)
        parameters = (None, None) if weight is None else (by_weight, by_bias)
        return by_x.to(x.dtype), *parameters, None, None


def _moments(x: Tensor) -> tuple[Tensor, Tensor]:
    """Return mean and (biased) variance of every channel over this rank's rows, float32."""
    if x.device.type == "cpu":  # where var_mean over all dimensions but the second takes ten times as long
        zeros = x.new_zeros(x.shape[1], dtype=torch.float32)
        return torch.ops.aten.batch_norm_update_stats(x, zeros, zeros.clone(), 0.0)
    variance, mean = torch.var_mean(x.float(), [dim for dim in range(x.dim()) if dim != 1], correction=0)
    return mean, variance
