"""``prototype_similarity``: the public function, and the torch.library operation behind it."""

from __future__ import annotations

from types import ModuleType
from typing import Any

import torch
from torch import Tensor

from hscl_kernels import checks
from hscl_kernels.backends import Backend, resolve
from hscl_kernels.prototypes import cpu, reference
from hscl_kernels.prototypes.rows import compute_dtype
from hscl_kernels.registration import differentiable, operation


def prototype_similarity(embeddings: Tensor, prototypes: Tensor, *, backend: Backend = "auto") -> tuple[Tensor, Tensor]:
    """Return the normality score of Eq. 9, m_i = max_k <u_i, v_k>, and its arg-max.

    Parameters
    ----------
    embeddings
        Raw features, ``[N, D]`` float16, bfloat16, float32 or (not on Triton) float64.
    prototypes
        Raw prototypes, ``[K, D]`` floating point.
    backend
        ``auto`` (``triton`` on a GPU, ``cpu`` on the CPU), ``reference``, ``cpu`` or ``triton``.

    Returns
    -------
    similarity
        ``[N]`` in [-1, 1]; higher is more normal. float32 (float64 for float64 embeddings; the reference: the
        embeddings' dtype). Its gradient goes to the arg-max only.
    index
        int64 ``[N]``, the nearest prototype; a tie goes to the lowest. A row or a prototype with a NaN or an infinity
        has similarity NaN, which counts as the highest.

    Raises
    ------
    ValueError, TypeError
        Wrong shapes, devices or dtypes; the message shows them.
    RuntimeError
        A second derivative is requested.

    Examples
    --------
    >>> import torch
    >>> prototypes = torch.tensor([[1.0, 0.0], [0.0, 2.0]])
    >>> similarity, nearest = prototype_similarity(torch.tensor([[0.0, 3.0], [-5.0, 0.0]]), prototypes)
    >>> similarity
    tensor([1., 0.])
    >>> nearest
    tensor([1, 1])
    """
    form = resolve(backend, embeddings.device)
    checks.check_matrix("embeddings", embeddings, form)
    checks.check_prototypes(prototypes, embeddings, form)
    if form == "reference":
        return reference.prototype_similarity(embeddings, prototypes)
    return _prototype_similarity(embeddings, prototypes, form)[:2]


def _form(backend: str) -> ModuleType:
    if backend == "cpu":
        return cpu
    from hscl_kernels.prototypes import triton_form

    return triton_form


def _fake_similarity(embeddings: Tensor, prototypes: Tensor, backend: str) -> tuple[Tensor, ...]:
    rows, floats = embeddings.shape[0], compute_dtype(embeddings.dtype)
    units = embeddings.dtype if backend == "triton" else floats
    return (
        embeddings.new_empty(rows, dtype=floats),
        embeddings.new_empty(rows, dtype=torch.int64),
        torch.empty_like(embeddings, dtype=units, memory_format=torch.contiguous_format),
        embeddings.new_empty(rows, dtype=floats),
    )


@operation("prototype_similarity", fake=_fake_similarity)
def _prototype_similarity(
    embeddings: Tensor, prototypes: Tensor, backend: str
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    return _form(backend).similarity_forward(embeddings, prototypes)


def _fake_backward(
    gradients: Tensor, embeddings: Tensor, prototypes: Tensor, index: Tensor, units: Tensor, *_: Any
) -> tuple[Tensor, Tensor]:
    by_embeddings = torch.empty_like(units, dtype=embeddings.dtype)
    return by_embeddings, torch.empty_like(prototypes, memory_format=torch.contiguous_format)


@operation("prototype_similarity_backward", fake=_fake_backward)
def _prototype_similarity_backward(
    gradients: Tensor,
    embeddings: Tensor,
    prototypes: Tensor,
    index: Tensor,
    units: Tensor,
    lengths: Tensor,
    backend: str,
) -> tuple[Tensor, Tensor]:
    return _form(backend).similarity_backward(gradients, prototypes, index, units, lengths, embeddings.dtype)


def _save(ctx: Any, inputs: tuple, output: tuple) -> None:
    embeddings, prototypes, ctx.backend = inputs
    ctx.mark_non_differentiable(*output[1:])
    # Autograd must know that the gradient depends on the embeddings: otherwise it would not refuse second derivatives.
    ctx.save_for_backward(embeddings, prototypes, *output[1:])


def _differentiate(ctx: Any, gradient: Tensor, *_: Any) -> tuple[Tensor | None, ...]:
    return *_prototype_similarity_backward(gradient, *ctx.saved_tensors, ctx.backend), None


differentiable(
    _prototype_similarity,
    _prototype_similarity_backward,
    save=_save,
    differentiate=_differentiate,
    what="prototype_similarity",
)
