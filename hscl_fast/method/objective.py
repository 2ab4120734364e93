"""Computes the loss of a batch from its embeddings: terms, weights and roles of the rotated copies."""

from __future__ import annotations

import torch
from hscl_kernels import hscl_loss
from hscl_kernels.philox import random_uniforms
from torch import Tensor
from torch.distributed import ProcessGroup

from hscl_fast.config.sections import ObjectiveConfig
from hscl_fast.method.augment import ROTATIONS, VIEWS, instance_ids
from hscl_fast.method.prototype_parts import Part, part_of_prototype_term
from hscl_fast.method.released_loss import released_loss
from hscl_fast.method.rotation_loss import ROTATION
from hscl_fast.method.scaled_gradient import scale_gradient
from hscl_fast.method.terms import Term, TermInputs

TOTAL = Term("total", "Total loss", "loss")
SAMPLE_TO_SAMPLE = Term("sample_to_sample", "Sample to sample", "S-S")
SAMPLE_TO_PROTOTYPE = Term("sample_to_prototype", "Sample to prototype", "S-P")
NORMAL_TO_ABNORMAL = Term("normal_to_abnormal", "Normal to abnormal", "N-A")
NT_XENT = Term("nt_xent", "NT-Xent", "NT-Xent")
CONVEX = Term("convex", "Convex combination", "convex")

PAPER_TERMS = (TOTAL, SAMPLE_TO_SAMPLE, SAMPLE_TO_PROTOTYPE, NORMAL_TO_ABNORMAL)
RELEASED_TERMS = (TOTAL, NT_XENT, CONVEX)
# To add a term that needs no similarities between all pairs of rows, write a file beside this one and list it here.
EXTRA_TERMS = (ROTATION,)
TERMS = tuple(dict.fromkeys((*PAPER_TERMS, *RELEASED_TERMS, *(extra.term for extra in EXTRA_TERMS))))

_STREAM = 1  # of the counter-based generator


def objective_terms(config: ObjectiveConfig) -> tuple[Term, ...]:
    """Return the terms that :func:`compute_loss` returns, in order; the first is the total, to be minimised."""
    own = RELEASED_TERMS if config.name == "released" else PAPER_TERMS
    return (*own, *(extra.term for extra in EXTRA_TERMS if extra.is_on(config)))


def row_roles(roles: Tensor, rotated_roles: str, rotations: int = ROTATIONS) -> Tensor:
    """Return the role of every row, int64 ``[V * R * B]``, from the images' roles ``[B]``.

    Rotated copies have the image's role (``inherit``), are left out of all terms but L_SS (``exclude``, role 2), or are
    abnormal (``abnormal``).
    """
    upright = roles.long()
    if rotated_roles == "inherit":
        rotated = upright
    else:
        rotated = torch.full_like(upright, 2 if rotated_roles == "exclude" else -1)
    return torch.cat((upright, *[rotated] * (rotations - 1))).repeat(VIEWS)


def compute_loss(
    config: ObjectiveConfig,
    embeddings: Tensor,
    prototypes: Tensor,
    rotation_logits: Tensor | None,
    roles: Tensor,
    rotation: Tensor,
    *,
    seed: Tensor,
    step: Tensor,
    group: ProcessGroup | None = None,
) -> Tensor:
    """Return the training loss and its parts for one batch.

    Parameters
    ----------
    config
        The objective and its weights.
    embeddings
        Raw features, ``[N, D]`` with N = 2 views x R rotations x B, in row order.
    prototypes
        Raw prototypes, ``[K, D]``.
    rotation_logits
        ``[N, 4]``, or None without ``shift_loss``.
    roles
        The images' roles, ``[B]`` in {+1, 0, -1}.
    rotation
        The quarter turns of every row, int64 ``[N]``.
    seed, step
        int64 scalars on the device; random draws are a pure function of them.
    group
        Ranks over which the batch is spread: all arguments are this rank's share. The HSCL terms are those of the whole
        batch, the rotation loss is that of the share, and gradients are such that their *average* over the ranks is
        that of the whole batch. A loss that is not finite on one rank makes the averages NaN.

    Returns
    -------
    Tensor
        float32 ``[terms]`` in the order of :func:`objective_terms`; differentiate the first.
    """
    rotations = len(embeddings) // (VIEWS * len(roles))
    rows = row_roles(roles, config.rotated_roles, rotations)
    if config.name == "released":
        losses = _released_losses(config, embeddings, prototypes, rows, seed=seed, step=step)
    else:
        ids = instance_ids(len(roles), roles.device, rotations)
        losses = _paper_losses(config, embeddings, prototypes, ids, rows, seed=seed, step=step, group=group)
    inputs = TermInputs(embeddings, prototypes, rotation_logits, rows, rotation, group)
    for extra in EXTRA_TERMS:
        if extra.is_on(config):
            losses[extra.term] = extra.loss(config, inputs)
            losses[TOTAL] = losses[TOTAL] + losses[extra.term]
    return torch.stack([losses[term] for term in objective_terms(config)])


def _released_losses(
    config: ObjectiveConfig, embeddings: Tensor, prototypes: Tensor, rows: Tensor, *, seed: Tensor, step: Tensor
) -> dict[Term, Tensor]:
    uniforms = _uniforms(seed, step, len(rows), 12).view(6, 2, -1).transpose(1, 2)
    loss = released_loss(embeddings.float(), prototypes, rows, temperature=config.temperature, uniforms=uniforms)
    return {TOTAL: loss.nt_xent + loss.convex, NT_XENT: loss.nt_xent, CONVEX: loss.convex}


def _paper_losses(
    config: ObjectiveConfig,
    embeddings: Tensor,
    prototypes: Tensor,
    ids: Tensor,
    rows: Tensor,
    *,
    seed: Tensor,
    step: Tensor,
    group: ProcessGroup | None,
) -> dict[Term, Tensor]:
    sampled = config.na_estimator == "multinomial"
    rank, ranks = (0, 1) if group is None else (group.rank(), group.size())
    # The fused forms accept half precision and compute sums, losses and weights in float32.
    loss = hscl_loss(
        embeddings.float() if config.backend == "reference" else embeddings,
        prototypes,
        ids + rank * (len(ids) // VIEWS),
        rows,
        temperature=config.temperature,
        lambda_prototype=config.lambda_prototype,
        lambda_abnormal=config.lambda_abnormal,
        weight_threshold=config.weight_threshold,
        na_estimator=config.na_estimator,
        uniforms=_uniforms(seed, step, ranks * len(rows), 2) if sampled else None,
        group=group,
        backend=config.backend,
    )
    total, prototype_term = loss.total, loss.sample_to_prototype
    if config.prototype_parts != "both":
        other: Part = "anomalies" if config.prototype_parts == "normals" else "normals"
        left_out = part_of_prototype_term(
            embeddings.float() if config.backend == "reference" else embeddings,
            prototypes,
            rows,
            other,
            group=group,
            backend=config.backend,
        )
        total, prototype_term = total - config.lambda_prototype * left_out, prototype_term - left_out.detach()
    if config.lambda_sample != 1:
        total = total + (config.lambda_sample - 1) * loss.sample_to_sample
    # Averaging over the ranks divides the gradient by their number.
    if group is not None:
        total = scale_gradient(total, torch.full_like(total, ranks))
    return {
        TOTAL: total,
        SAMPLE_TO_SAMPLE: loss.sample_to_sample,
        SAMPLE_TO_PROTOTYPE: prototype_term,
        NORMAL_TO_ABNORMAL: loss.normal_to_abnormal,
    }


def _uniforms(seed: Tensor, step: Tensor, rows: int, count: int) -> Tensor:
    index = torch.arange(rows, device=seed.device)
    return random_uniforms(seed, step, index, torch.zeros_like(index), count, stream=_STREAM)
