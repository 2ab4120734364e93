"""``info_nce`` and ``hscl_loss``: the public functions, and the torch.library operations behind them.

Each operation has a fake kernel (for torch.compile), an autograd formula and a backward operation that refuses to be
differentiated again.
"""

from __future__ import annotations

import functools
from types import ModuleType
from typing import Any, Literal

import torch
from torch import Tensor
from torch.distributed import ProcessGroup

from hscl_kernels import checks
from hscl_kernels.backends import Backend, resolve
from hscl_kernels.contrast import cpu, cpu_native, reference, sharded
from hscl_kernels.contrast.reference import HSCLLoss
from hscl_kernels.prototypes.rows import compute_dtype
from hscl_kernels.registration import differentiable, operation

_Eleven = tuple[Tensor, Tensor, Tensor, Tensor, Tensor, Tensor, Tensor, Tensor, Tensor, Tensor, Tensor]


def info_nce(
    embeddings: Tensor,
    instance_ids: Tensor,
    temperature: float = 0.5,
    *,
    reduction: Literal["mean", "sum", "none"] = "mean",
    backend: Backend = "auto",
) -> Tensor:
    """Return InfoNCE (Eq. 1 and 2) without ever storing the N x N similarities.

    L_i = -log( sum_{j in P(i)} exp(s_ij/tau) / sum_{j != i} exp(s_ij/tau) ), P(i) = {j != i : id_j = id_i}, s_ij the
    cosine of rows i and j. A row may have any number of positives; their sum is inside the logarithm.

    Parameters
    ----------
    embeddings
        Raw features, ``[N, D]`` float16, bfloat16, float32 or (not on Triton) float64.
    instance_ids
        Integer ``[N]``; rows with equal ids are positives of each other. On Triton they must fit in 32 bits: others
        make losses NaN.
    temperature
        tau, from 1e-4 to 1e4.
    reduction
        ``mean`` over all N rows, ``sum``, or ``none`` for ``[N]``. A row without a positive counts as 0.
    backend
        ``auto`` (``triton`` on a GPU, ``cpu`` on the CPU), ``reference``, ``cpu`` or ``triton``.

    Returns
    -------
    Tensor
        float32 (float64 for float64 embeddings; the reference: the embeddings' dtype). A NaN or an infinity in any
        embedding makes the losses of all rows, and all gradients, NaN.

    Raises
    ------
    ValueError, TypeError
        Wrong shapes, devices, dtypes or options; the message shows them.
    RuntimeError
        A second derivative is requested.

    Examples
    --------
    >>> import torch
    >>> z = torch.tensor([[1.0, 0.0], [0.0, 1.0], [1.0, 0.0], [0.0, 1.0]])
    >>> round(info_nce(z, torch.tensor([0, 1, 0, 1])).item(), 4)  # log(1 + 2 exp(-2))
    0.2395
    """
    form = resolve(backend, embeddings.device)
    checks.check_matrix("embeddings", embeddings, form)
    checks.check_rows("instance_ids", instance_ids, embeddings)
    checks.check_temperature(temperature)
    if reduction not in ("mean", "sum", "none"):
        raise ValueError(f"reduction is {reduction!r}, expected mean, sum or none")
    if form == "reference":
        return reference.info_nce(embeddings, instance_ids, temperature, reduction=reduction)
    losses = _info_nce(embeddings, instance_ids, temperature, form)[0]
    if reduction == "none":
        return losses
    return losses.mean() if reduction == "mean" else losses.sum()


def hscl_loss(
    embeddings: Tensor,
    prototypes: Tensor,
    instance_ids: Tensor,
    roles: Tensor,
    *,
    temperature: float = 0.5,
    lambda_prototype: float = 1.0,
    lambda_abnormal: float = 1.0,
    weight_threshold: float = 0.4,
    na_estimator: Literal["expectation", "multinomial"] = "expectation",
    generator: torch.Generator | None = None,
    uniforms: Tensor | None = None,
    group: ProcessGroup | None = None,
    backend: Backend = "auto",
) -> HSCLLoss:
    """Return L = L_SS + lambda_prototype L_SP + lambda_abnormal L_NA (Eq. 8) and its parts, in one sweep.

    Any batch is legal: a term whose rows are missing is exactly 0 with exactly zero gradient. A NaN or an infinity in
    the embeddings or the prototypes makes every term and every gradient NaN.

    Parameters
    ----------
    embeddings
        Raw features, ``[N, D]`` float16, bfloat16, float32 or (not on Triton) float64.
    prototypes
        Raw prototypes, ``[K, D]`` floating point.
    instance_ids
        Integer ``[N]``; equal ids are positives of each other in L_SS. On Triton they must fit in 32 bits: others
        make the total NaN.
    roles
        Integer ``[N]``: +1 labelled normal, 0 unlabelled, -1 labelled abnormal, 2 in L_SS only. Other values raise an
        error on the CPU; on a GPU, where looking would wait for the device, they make the total NaN.
    temperature, lambda_prototype, lambda_abnormal, weight_threshold
        tau (from 1e-4 to 1e4), lambda_1, lambda_2, w_delta. With ``lambda_prototype=0`` the prototypes are untrained,
        so unlabelled rows weigh 1 like labelled ones.
    na_estimator
        ``expectation``: every eligible row is an anchor with weight p_i. ``multinomial``: M anchors and M positives
        drawn from p with replacement enter as counts.
    generator
        Draws for ``multinomial``; torch's default generator if absent.
    uniforms
        float64 ``[2, N]`` in (0, 1) to draw with instead (of all rows of all ranks with ``group``, the same on each).
    group
        A process group over which the batch is spread: ``embeddings``, ``instance_ids`` and ``roles`` are this rank's
        rows, in equal number on each rank, and the loss is that of all rows, the same on every rank. The gradient of
        this rank's embeddings is complete; that of the prototypes is this rank's share, to be *summed* over ranks
        (under DistributedDataParallel, which averages, multiply the loss by the world size).
    backend
        ``auto`` (``triton`` on a GPU, ``cpu`` on the CPU), ``reference``, ``cpu`` or ``triton``.

    Returns
    -------
    HSCLLoss
        Scalars, and the weights w ``[N]``; float32 (float64 for float64 embeddings).

    Raises
    ------
    ValueError, TypeError
        Wrong shapes, devices, dtypes, roles or options; the message shows them.
    RuntimeError
        A second derivative is requested.

    Examples
    --------
    >>> import torch
    >>> generator = torch.Generator().manual_seed(0)
    >>> z = torch.randn(8, 16, generator=generator, requires_grad=True)  # two views of four images
    >>> v = torch.randn(3, 16, generator=generator, requires_grad=True)
    >>> loss = hscl_loss(z, v, torch.arange(4).repeat(2), torch.tensor([1, 0, 0, -1]).repeat(2))
    >>> loss.weights[[0, 3]]  # a labelled normal and a labelled abnormal row
    tensor([1., 0.])
    >>> loss.total.backward()
    >>> z.grad.shape, v.grad.shape
    (torch.Size([8, 16]), torch.Size([3, 16]))
    """
    form = resolve(backend, embeddings.device)
    checks.check_matrix("embeddings", embeddings, form)
    checks.check_prototypes(prototypes, embeddings, form)
    checks.check_rows("instance_ids", instance_ids, embeddings)
    checks.check_rows("roles", roles, embeddings)
    checks.check_temperature(temperature)
    checks.check_finite("lambda_prototype", lambda_prototype, lowest=0)
    checks.check_finite("lambda_abnormal", lambda_abnormal, lowest=0)
    checks.check_finite("weight_threshold", weight_threshold)
    if na_estimator not in ("expectation", "multinomial"):
        raise ValueError(f"na_estimator is {na_estimator!r}, expected expectation or multinomial")
    if na_estimator == "expectation":
        uniforms = None
    else:
        uniforms = _uniforms(uniforms, generator, embeddings, 1 if group is None else group.size())
    options = (temperature, lambda_prototype, lambda_abnormal, weight_threshold)
    if group is not None:
        return sharded.hscl_loss(embeddings, prototypes, instance_ids, roles, uniforms, *options, group, form)
    if form == "reference":
        return reference.hscl_loss(
            embeddings,
            prototypes,
            instance_ids,
            roles,
            temperature=temperature,
            lambda_prototype=lambda_prototype,
            lambda_abnormal=lambda_abnormal,
            weight_threshold=weight_threshold,
            uniforms=uniforms,
        )
    return HSCLLoss(*_hscl_loss(embeddings, prototypes, instance_ids, roles, uniforms, *options, form)[:5])


def _uniforms(given: Tensor | None, generator: torch.Generator | None, embeddings: Tensor, ranks: int) -> Tensor:
    rows = ranks * embeddings.shape[0]
    if given is None and ranks == 1:
        return torch.rand(2, rows, dtype=torch.float64, device=embeddings.device, generator=generator)
    if given is None:
        raise ValueError("na_estimator is 'multinomial' over several ranks, which need the same draws: give uniforms")
    if given.shape != (2, rows) or given.dtype != torch.float64:
        raise ValueError(f"uniforms is {given.dtype} {list(given.shape)}, expected torch.float64 [2, {rows}]")
    checks.check_device("uniforms", given, embeddings)
    return given


def _form(backend: str) -> ModuleType:
    if backend == "cpu":
        return cpu
    from hscl_kernels.contrast import triton_form  # only here: importing Triton takes a second

    return triton_form


def _empty_units(embeddings: Tensor, backend: str) -> Tensor:
    dtype = embeddings.dtype if backend == "triton" else compute_dtype(embeddings.dtype)
    return torch.empty_like(embeddings, dtype=dtype, memory_format=torch.contiguous_format)


def _fake_info_nce(embeddings: Tensor, *rest: Any) -> tuple[Tensor, ...]:
    temperature, backend = rest[-2:]
    rows, floats = embeddings.shape[0], compute_dtype(embeddings.dtype)
    empty = functools.partial(embeddings.new_empty, dtype=floats)
    kept = empty(cpu_native.kept_size(rows, backend, temperature, floats))
    return empty(rows), _empty_units(embeddings, backend), empty(rows), empty((6, rows)), kept


@operation("info_nce", fake=_fake_info_nce)
def _info_nce(
    embeddings: Tensor, instance_ids: Tensor, temperature: float, backend: str
) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor]:
    if cpu_native.is_used(backend, temperature):
        return cpu_native.info_nce_forward(embeddings, instance_ids, temperature)
    outputs = _form(backend).info_nce_forward(embeddings, instance_ids, temperature)
    return *outputs, outputs[0].new_empty(0)


@operation(
    "info_nce_backward",
    fake=lambda gradients, embeddings, ids, units, *_: torch.empty_like(units, dtype=embeddings.dtype),
)
def _info_nce_backward(
    gradients: Tensor,
    embeddings: Tensor,
    instance_ids: Tensor,
    units: Tensor,
    lengths: Tensor,
    row_state: Tensor,
    kept: Tensor,
    temperature: float,
    backend: str,
) -> Tensor:
    saved = (instance_ids, units, lengths, row_state)
    if cpu_native.is_used(backend, temperature):
        return cpu_native.info_nce_backward(gradients, *saved, kept, temperature, embeddings.dtype)
    return _form(backend).info_nce_backward(gradients, *saved, temperature, embeddings.dtype)


def _save_info_nce(ctx: Any, inputs: tuple, output: tuple) -> None:
    embeddings, instance_ids, ctx.temperature, ctx.backend = inputs
    ctx.set_materialize_grads(False)  # it would fill a gradient of zeros for every output that has none
    ctx.mark_non_differentiable(*output[1:])
    # Autograd must know that the gradient depends on the embeddings: otherwise it would not refuse second derivatives.
    ctx.save_for_backward(embeddings, instance_ids, *output[1:])


def _differentiate_info_nce(ctx: Any, gradient: Tensor | None, *_: Any) -> tuple[Tensor | None, ...]:
    by_embeddings = None
    if gradient is not None:
        by_embeddings = _info_nce_backward(gradient, *ctx.saved_tensors, ctx.temperature, ctx.backend)
    return by_embeddings, None, None, None


def _fake_hscl_loss(embeddings: Tensor, *rest: Any) -> tuple[Tensor, ...]:
    temperature, backend = rest[4], rest[-1]
    rows, floats = embeddings.shape[0], compute_dtype(embeddings.dtype)
    empty = functools.partial(embeddings.new_empty, dtype=floats)
    return (
        *(empty(()) for _ in range(4)),
        empty(rows),
        _empty_units(embeddings, backend),
        empty(rows),
        embeddings.new_empty(rows, dtype=torch.int64),
        empty((6, rows)),
        empty(()),
        empty(cpu_native.kept_size(rows, backend, temperature, floats)),
    )


@operation("hscl_loss", fake=_fake_hscl_loss)
def _hscl_loss(
    embeddings: Tensor,
    prototypes: Tensor,
    instance_ids: Tensor,
    roles: Tensor,
    uniforms: Tensor | None,
    temperature: float,
    lambda_prototype: float,
    lambda_abnormal: float,
    weight_threshold: float,
    backend: str,
) -> _Eleven:
    given = (embeddings, prototypes, instance_ids, roles, uniforms)
    options = (temperature, lambda_prototype, lambda_abnormal, weight_threshold)
    if cpu_native.is_used(backend, temperature):
        native: Any = cpu_native.hscl_forward(*given, *options)
        return native
    if roles.device.type == "cpu":
        checks.check_role_values(roles)
    outputs: Any = _form(backend).hscl_forward(*given, *options)
    return *outputs, outputs[0].new_empty(0)


def _fake_hscl_loss_backward(*given: Any) -> tuple[Tensor, Tensor]:
    embeddings, prototypes, units = given[4], given[5], given[8]
    by_embeddings = torch.empty_like(units, dtype=embeddings.dtype)
    return by_embeddings, torch.empty_like(prototypes, memory_format=torch.contiguous_format)


@operation("hscl_loss_backward", fake=_fake_hscl_loss_backward)
def _hscl_loss_backward(
    total: Tensor | None,
    sample_to_sample: Tensor | None,
    sample_to_prototype: Tensor | None,
    normal_to_abnormal: Tensor | None,
    embeddings: Tensor,
    prototypes: Tensor,
    instance_ids: Tensor,
    roles: Tensor,
    units: Tensor,
    lengths: Tensor,
    index: Tensor,
    row_state: Tensor,
    largest_anchor: Tensor,
    kept: Tensor,
    temperature: float,
    lambda_prototype: float,
    lambda_abnormal: float,
    backend: str,
) -> tuple[Tensor, Tensor]:
    gradients = (total, sample_to_sample, sample_to_prototype, normal_to_abnormal)
    saved = (prototypes, instance_ids, roles, units, lengths, index, row_state)
    options = (temperature, lambda_prototype, lambda_abnormal)
    if cpu_native.is_used(backend, temperature):
        return cpu_native.hscl_backward(gradients, *saved, kept, *options, embeddings.dtype)
    return _form(backend).hscl_backward(gradients, *saved, largest_anchor, *options, embeddings.dtype)


def _save_hscl_loss(ctx: Any, inputs: tuple, output: tuple) -> None:
    embeddings, prototypes, instance_ids, roles, _, *options, _, ctx.backend = inputs
    ctx.options = options
    ctx.set_materialize_grads(False)
    ctx.mark_non_differentiable(*output[4:])
    ctx.save_for_backward(embeddings, prototypes, instance_ids, roles, *output[5:])


def _differentiate_hscl_loss(ctx: Any, *gradients: Tensor | None) -> tuple[Tensor | None, ...]:
    by_inputs = _hscl_loss_backward(*gradients[:4], *ctx.saved_tensors, *ctx.options, ctx.backend)
    return *by_inputs, *(None,) * 8


differentiable(
    _info_nce, _info_nce_backward, save=_save_info_nce, differentiate=_differentiate_info_nce, what="its losses"
)
differentiable(
    _hscl_loss, _hscl_loss_backward, save=_save_hscl_loss, differentiate=_differentiate_hscl_loss, what="its losses"
)
