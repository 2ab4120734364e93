"""The HSCL objective of a batch spread over a process group: this rank's rows against the rows of all.

Forward gathers the unit rows (with their similarity, id and role), then the log sums of every row; each rank then
has all it needs for the complete gradient of its own rows, so backward does not communicate.
"""

from __future__ import annotations

from types import ModuleType
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor
from torch.distributed import ProcessGroup

from hscl_kernels import checks
from hscl_kernels.contrast import cpu
from hscl_kernels.contrast.cpu import term_gradients
from hscl_kernels.contrast.cpu_sweep import Rows
from hscl_kernels.contrast.reference import HSCLLoss, anchors_and_positives
from hscl_kernels.contrast.row_terms import row_terms
from hscl_kernels.contrast.temperature import is_online, unit_scale
from hscl_kernels.prototypes.cpu import broken, input_gradients, nearest_prototype, prototype_slopes, unit_rows
from hscl_kernels.prototypes.reference import normal_weights, sample_to_prototype
from hscl_kernels.registration import operation, without_autocast


def hscl_loss(
    embeddings: Tensor,
    prototypes: Tensor,
    instance_ids: Tensor,
    roles: Tensor,
    uniforms: Tensor | None,
    temperature: float,
    lambda_prototype: float,
    lambda_abnormal: float,
    weight_threshold: float,
    group: ProcessGroup,
    backend: str,
) -> HSCLLoss:
    """See :func:`hscl_kernels.hscl_loss`; ``backend`` is ``cpu`` or ``triton``."""
    if backend == "reference":
        raise ValueError("group needs backend 'cpu' or 'triton': the reference computes on one device")
    options = (temperature, lambda_prototype, lambda_abnormal, weight_threshold)
    with without_autocast(embeddings.device):
        return HSCLLoss(
            *_Sharded.apply(embeddings, prototypes, instance_ids, roles, uniforms, *options, group, backend)
        )


class _Sharded(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any,
        embeddings: Tensor,
        prototypes: Tensor,
        instance_ids: Tensor,
        roles: Tensor,
        uniforms: Tensor | None,
        temperature: float,
        lambda_prototype: float,
        lambda_abnormal: float,
        weight_threshold: float,
        group: ProcessGroup,
        backend: str,
    ) -> tuple[Tensor, ...]:
        scale, online = unit_scale(temperature), is_online(temperature)
        here = slice(group.rank() * len(embeddings), (group.rank() + 1) * len(embeddings))
        own_units, lengths = unit_rows(embeddings, scale)
        if backend == "triton":
            own_units = torch.where(_is_readable(instance_ids, roles)[:, None], own_units, float("nan"))
        own_similarity, index = nearest_prototype(own_units, scale, prototypes)
        if backend == "triton":
            own_units = own_units.to(embeddings.dtype)
        units = _gather(own_units, group)
        similarity = _gather(own_similarity, group)
        ids, all_roles = _gather(torch.stack((instance_ids.long(), roles.long()), dim=1), group).T.contiguous()

        weights = normal_weights(similarity if lambda_prototype > 0 else torch.ones_like(similarity), all_roles)
        anchors, positives = anchors_and_positives(weights, weight_threshold, uniforms)
        own_sums = _row_log_sums(units, ids, all_roles, positives, here.start, here.stop, online, backend)
        log_sums = _gather(own_sums.T.contiguous(), group).T
        terms = row_terms(log_sums, anchors, logarithmic=online)
        ss, na = terms.sample_to_sample.mean(), terms.normal_to_abnormal.sum()
        sp = sample_to_prototype(similarity, weights, all_roles)
        ss, na = ss + broken(similarity), na + broken(similarity)
        slopes = prototype_slopes(similarity, weights, all_roles)[here]

        ctx.here, ctx.backend, ctx.dtype = here, backend, embeddings.dtype
        ctx.temperature, ctx.lambdas = temperature, (lambda_prototype, lambda_abnormal)
        ctx.set_materialize_grads(False)
        own_weights = weights[here].clone()
        ctx.mark_non_differentiable(own_weights)
        ctx.save_for_backward(prototypes, ids, all_roles, units, lengths, index, positives, terms.coefficients, slopes)
        return ss + lambda_prototype * sp + lambda_abnormal * na, ss, sp, na, own_weights

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor | None) -> tuple[Tensor | None, ...]:
        if torch.is_grad_enabled() and not torch.compiler.is_compiling():  # create_graph=True
            raise RuntimeError(
                "hscl_kernels does not provide second derivatives of hscl_loss with a group: drop create_graph=True"
            )
        prototypes, ids, roles, units, lengths, index, positives, coefficients, slopes = ctx.saved_tensors
        lambda_prototype, lambda_abnormal = ctx.lambdas
        ss, sp, na = term_gradients(gradients[:4], lambda_prototype, lambda_abnormal, lengths)
        here = ctx.here
        facts = (units, ids, roles, positives, coefficients)
        by_units = _unit_gradients(ss, na, *facts, here.start, here.stop, ctx.temperature, ctx.backend)
        own_units = units[here].to(lengths.dtype)
        scale = unit_scale(ctx.temperature)
        by_inputs = input_gradients(by_units, sp * slopes, index, own_units, scale, lengths, prototypes, ctx.dtype)
        return *by_inputs, *(None,) * 9


def _is_readable(ids: Tensor, roles: Tensor) -> Tensor:
    """Return bool ``[N]``: whether the kernels read a row's id, in 32 bits, and its role as they are.

    Other rows are made NaN, because looking for them would wait for a GPU.
    """
    return (ids == ids.to(torch.int32)) & (roles >= -1) & (roles <= 2)


def _gather(own: Tensor, group: ProcessGroup) -> Tensor:
    """Return the tensors of all ranks, concatenated in the order of the ranks."""
    if group.size() == 1:
        return own
    everyone = own.new_empty((group.size() * len(own), *own.shape[1:]))
    dist.all_gather_into_tensor(everyone, own.contiguous(), group=group)
    return everyone


def _form(backend: str) -> ModuleType:
    if backend == "cpu":
        return cpu
    from hscl_kernels.contrast import triton_form

    return triton_form


@operation(
    "row_log_sums",
    fake=lambda units, ids, roles, positives, start, stop, *_: positives.new_empty((4, stop - start)),
)
def _row_log_sums(
    units: Tensor, ids: Tensor, roles: Tensor, positives: Tensor, start: int, stop: int, online: bool, backend: str
) -> Tensor:
    if roles.device.type == "cpu":
        checks.check_role_values(roles)
    everyone = _everyone(units, ids, roles, positives, positives.new_zeros(4, len(positives)))
    return _form(backend).own_log_sums(everyone, start, stop, online=online)


def _fake_unit_gradients(*given: Any) -> Tensor:
    units, positives, start, stop = given[2], given[5], given[7], given[8]
    return positives.new_empty((stop - start, units.shape[1]))


@operation("unit_gradients", fake=_fake_unit_gradients)
def _unit_gradients(
    sample_gradient: Tensor,
    abnormal_gradient: Tensor,
    units: Tensor,
    ids: Tensor,
    roles: Tensor,
    positives: Tensor,
    coefficients: Tensor,
    start: int,
    stop: int,
    temperature: float,
    backend: str,
) -> Tensor:
    everyone = _everyone(units, ids, roles, positives, coefficients)
    gradients = (sample_gradient, abnormal_gradient)
    return _form(backend).own_unit_gradients(everyone, start, stop, *gradients, temperature)


def _everyone(units: Tensor, ids: Tensor, roles: Tensor, positives: Tensor, coefficients: Tensor) -> Rows:
    return Rows(
        units=units,
        ids=ids,
        numbers=torch.arange(len(units), device=units.device),
        roles=roles,
        positives=positives,
        coefficients=coefficients.T,
        gradients=torch.zeros_like(positives),
    )
