"""Inputs for the fused forms, and their errors against the float64 oracle relative to eager PyTorch's own."""

from typing import NamedTuple

import torch
from hscl_kernels import hscl_loss

TERMS = ("total", "sample_to_sample", "sample_to_prototype", "normal_to_abnormal")
# What an error may be where eager's happens to be smaller still: a few roundings of the largest entry.
ROUNDINGS = {torch.float64: 1e-13, torch.float32: 2e-6, torch.float16: 2e-3, torch.bfloat16: 1e-2}


class Batch(NamedTuple):
    embeddings: torch.Tensor
    prototypes: torch.Tensor
    ids: torch.Tensor
    roles: torch.Tensor
    uniforms: torch.Tensor


def make_batch(rows, features=32, prototypes=3, *, seed=0, ids=None, roles=None):
    """Raw rows with a common direction, so that similarities are neither all near 0 nor all near 1."""
    generator = torch.Generator().manual_seed(seed)
    z = torch.randn(rows, features, dtype=torch.float64, generator=generator) * 3
    z = z + 2 * torch.randn(1, features, dtype=torch.float64, generator=generator)
    v = torch.randn(prototypes, features, dtype=torch.float64, generator=generator)
    if ids is None:
        ids = torch.randint(0, max(rows // 2, 1), (rows,), generator=generator)
    if roles is None:
        roles = torch.randint(-1, 3, (rows,), generator=generator)
    uniforms = torch.rand(2, rows, dtype=torch.float64, generator=generator)
    return Batch(z, v, ids, roles, uniforms)


def evaluate(batch, backend, dtype, upstream=(1.0, 0.0, 0.0, 0.0), **options):
    """Return the four terms, the weights and both gradients of the upstream-weighted sum of terms, in float64."""
    z = batch.embeddings.detach().to(dtype).requires_grad_()
    v = batch.prototypes.detach().to(dtype).requires_grad_()
    uniforms = batch.uniforms if options.get("na_estimator") == "multinomial" else None
    loss = hscl_loss(z, v, batch.ids, batch.roles, uniforms=uniforms, backend=backend, **options)
    sum(share * term for share, term in zip(upstream, loss[:4], strict=True) if share).backward()
    gradients = [torch.zeros_like(x) if x.grad is None else x.grad for x in (z, v)]
    parts = (torch.stack(loss[:4]), loss.weights, *gradients)
    return [part.detach().double() for part in parts]


def assert_within_budget(batch, backend, dtype, **options):
    """err(form) <= 2 err(eager in the same dtype) + a few roundings, for every value and gradient."""
    # A logit s / tau carries the rounding of s, over tau.
    roundings = ROUNDINGS[dtype] * max(1.0, 0.1 / options.get("temperature", 0.5))
    rounded = batch._replace(embeddings=batch.embeddings.to(dtype), prototypes=batch.prototypes.to(dtype))
    oracle = evaluate(rounded, "reference", torch.float64, **options)
    eager = evaluate(rounded, "reference", dtype, **options)
    fast = evaluate(rounded, backend, dtype, **options)
    # A row's gradient is the difference of two means of units, over N tau |z|: of that size its roundings are, even
    # where the means cancel.
    lengths = rounded.embeddings.double().norm(dim=1)
    mean = 1 / (len(lengths) * options.get("temperature", 0.5) * float(lengths.max().clamp(min=1e-12)))
    for name, truth, ours, theirs in zip(("terms", "weights", "dz", "dV"), oracle, fast, eager, strict=True):
        assert torch.isfinite(ours).all(), name
        size = truth.abs().max().clamp(min=mean if name == "dz" else 1e-30)
        mine, other = (ours - truth).abs().max() / size, (theirs - truth).abs().max() / size
        other = other if torch.isfinite(other) else torch.zeros(())
        assert mine <= 2 * other + roundings, f"{name}: {mine:.2e}, eager {other:.2e}"
