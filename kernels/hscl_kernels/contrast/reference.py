"""The contrastive terms in plain PyTorch: Eq. 1, 2, 6, 7 and 8. Works in float64; the oracle of the fast forms."""

from __future__ import annotations

from typing import Literal, NamedTuple

import torch
from torch import Tensor

from hscl_kernels.prototypes.reference import normal_weights, prototype_similarity, sample_to_prototype, unit


class HSCLLoss(NamedTuple):
    """The terms of Eq. 8; scalars but for ``weights [N]``, which carries no gradient."""

    total: Tensor
    sample_to_sample: Tensor
    sample_to_prototype: Tensor
    normal_to_abnormal: Tensor
    weights: Tensor


def info_nce(
    embeddings: Tensor,
    instance_ids: Tensor,
    temperature: float = 0.5,
    *,
    reduction: Literal["mean", "sum", "none"] = "mean",
) -> Tensor:
    """Return L_SS of Eq. 1 and 2, with any number of positives per row, summed inside the logarithm.

    L_i = -log( sum_{j in P(i)} exp(s_ij/tau) / sum_{j != i} exp(s_ij/tau) ), P(i) = {j != i : id_j = id_i}.

    Parameters
    ----------
    embeddings
        Raw features, ``[N, D]`` floating point.
    instance_ids
        Integer ``[N]``; rows with equal ids are positives of each other.
    temperature
        tau, from 1e-4 to 1e4.
    reduction
        ``mean`` over all N rows, ``sum``, or ``none`` for ``[N]``. A row without a positive counts as 0.
    """
    logits, others = _logits(unit(embeddings), temperature)
    positives = others & (instance_ids[:, None] == instance_ids[None, :])
    log_positive, has_positive = _masked_logsumexp(logits, positives)
    log_all, _ = _masked_logsumexp(logits, others)
    losses = torch.where(has_positive, log_all - log_positive, 0.0) * _whole(logits.diagonal())
    if reduction == "none":
        return losses
    return losses.mean() if reduction == "mean" else losses.sum()


def normal_to_abnormal(
    embeddings: Tensor,
    roles: Tensor,
    anchor_weights: Tensor,
    positive_weights: Tensor,
    temperature: float = 0.5,
) -> Tensor:
    """Return L_NA of Eq. 6 for given weights of anchors and positives.

    L_NA = -sum_i a_i log(A_i / (A_i + B_i)), A_i = sum_{j != i} c_j exp(s_ij/tau), B_i = sum_{j in a} exp(s_ij/tau).

    Parameters
    ----------
    embeddings
        Raw features, ``[N, D]``.
    roles
        Integer ``[N]`` in {+1, 0, -1, 2}; -1 are the negatives.
    anchor_weights, positive_weights
        a and c, ``[N]``, not negative, zero outside the eligible rows.
    temperature
        tau, from 1e-4 to 1e4.

    Returns
    -------
    Tensor
        Scalar; exactly 0 with zero gradient where there is no anomaly, anchor or positive.
    """
    logits, others = _logits(unit(embeddings), temperature)
    eligible = positive_weights > 0
    log_weights = torch.where(eligible, positive_weights, 1.0).log()
    log_positive, has_positive = _masked_logsumexp(logits + log_weights[None, :], others & eligible[None, :])
    log_negative, has_negative = _masked_logsumexp(logits, (roles == -1)[None, :].expand_as(others))
    # log((A + B) / A) = softplus(log B - log A), which keeps small ratios exact.
    # Beyond its threshold softplus returns x itself; at torch's default of 20 that is an error of 2e-9.
    losses = torch.nn.functional.softplus(log_negative - log_positive, threshold=40)
    return (anchor_weights * torch.where(has_positive & has_negative, losses, 0.0)).sum()


def sampling_weights(weights: Tensor, weight_threshold: float) -> tuple[Tensor, Tensor]:
    """Return p of Eq. 7, p_i ~ w_i 1[w_i > w_delta] ``[N]``, and M, the number of eligible rows (int64 scalar)."""
    eligible = weights > weight_threshold
    kept = torch.where(eligible, weights, 0.0)
    mass = kept.sum()
    return kept / torch.where(mass > 0, mass, 1.0), eligible.sum()


def anchors_and_positives(
    weights: Tensor, weight_threshold: float, uniforms: Tensor | None = None
) -> tuple[Tensor, Tensor]:
    """Return the weights a of the anchors and c of the positives, ``[N]`` each.

    Without ``uniforms`` a = p and c = M p (the expectation). With them, float64 ``[2, N]`` in (0, 1), M anchors and M
    positives are drawn from p with replacement and enter as counts (the anchors' over M).
    """
    probabilities, eligible_rows = sampling_weights(weights, weight_threshold)
    if uniforms is None:
        return probabilities, eligible_rows * probabilities
    anchors = draw_counts(probabilities, eligible_rows, uniforms[0]) / eligible_rows.clamp(min=1)
    return anchors, draw_counts(probabilities, eligible_rows, uniforms[1])


def draw_counts(probabilities: Tensor, draws: Tensor, uniforms: Tensor) -> Tensor:
    """Return how often each row comes up in ``draws`` draws with replacement, by inversion.

    Parameters
    ----------
    probabilities
        p, ``[N]``, summing to 1 (or all zero: then no row is drawn).
    draws
        Integer scalar M <= N; only the first M uniforms count, so shapes do not depend on data.
    uniforms
        float64 ``[N]`` in (0, 1).

    Returns
    -------
    Tensor
        ``[N]`` in the dtype of ``probabilities``.
    """
    cumulative = probabilities.double().cumsum(0)
    rows = torch.searchsorted(cumulative, uniforms * cumulative[-1], right=True)
    # A rounded-up product can fall past the last row with p > 0: take that row.
    rows = torch.minimum(rows, torch.where(probabilities > 0, _row_numbers(probabilities), 0).max())
    used = (_row_numbers(probabilities) < draws).to(probabilities.dtype)
    return torch.zeros_like(probabilities).scatter_add(0, rows, used)


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
    uniforms: Tensor | None = None,
) -> HSCLLoss:
    """Return L = L_SS + lambda_prototype L_SP + lambda_abnormal L_NA (Eq. 8) and its parts.

    Any batch is legal: a term whose rows are missing is exactly 0 with exactly zero gradient. A NaN or an infinity
    anywhere makes every term and every gradient NaN.

    Parameters
    ----------
    embeddings
        Raw features, ``[N, D]`` floating point.
    prototypes
        Raw prototypes, ``[K, D]``.
    instance_ids
        Integer ``[N]``; equal ids are positives of each other in L_SS.
    roles
        Integer ``[N]``: +1 labelled normal, 0 unlabelled, -1 labelled abnormal, 2 in L_SS only.
    temperature, lambda_prototype, lambda_abnormal, weight_threshold
        tau, lambda_1, lambda_2, w_delta. With ``lambda_prototype=0`` the prototypes are untrained, so unlabelled rows
        weigh 1 like labelled ones.
    uniforms
        None for the estimator ``expectation``; float64 ``[2, N]`` in (0, 1), the randomness of ``multinomial``.

    Returns
    -------
    HSCLLoss
        Scalars, and the weights w ``[N]``.
    """
    similarity, _ = prototype_similarity(embeddings, prototypes)
    trusted = similarity if lambda_prototype > 0 else torch.ones_like(similarity)
    weights = normal_weights(trusted, roles)
    ss = info_nce(embeddings, instance_ids, temperature)
    sp = sample_to_prototype(similarity, weights, roles)
    whole = _whole(similarity)
    ss, sp = ss * whole, sp * whole
    anchors, positives = anchors_and_positives(weights, weight_threshold, uniforms)
    na = normal_to_abnormal(embeddings, roles, anchors, positives, temperature) * whole
    return HSCLLoss(ss + lambda_prototype * sp + lambda_abnormal * na, ss, sp, na, weights)


def _whole(values: Tensor) -> Tensor:
    """Return 1, or NaN if any of the values is NaN."""
    return 1 + 0 * values.detach().sum()


def _row_numbers(rows: Tensor) -> Tensor:
    return torch.arange(len(rows), device=rows.device)


def _logits(units: Tensor, temperature: float) -> tuple[Tensor, Tensor]:
    """Return s / tau ``[N, N]`` and the mask of its off-diagonal."""
    others = ~torch.eye(len(units), dtype=torch.bool, device=units.device)
    return units @ units.T / temperature, others


def _masked_logsumexp(logits: Tensor, mask: Tensor) -> tuple[Tensor, Tensor]:
    """Return log sum exp over the masked columns of each row ``[N]``, and which rows have any (others give 0)."""
    present = mask.any(dim=1)
    # A row with nothing to sum gets a harmless 0 in its first column, so that no NaN enters the gradient.
    filled = torch.where(mask, logits, float("-inf"))
    filled = torch.where(present[:, None], filled, 0.0)
    return torch.where(present, filled.logsumexp(dim=1), 0.0), present
