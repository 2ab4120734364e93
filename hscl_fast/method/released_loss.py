"""The loss of the authors' released code (Apache-2.0, GaoangW/HSCL), term by term, with fixed shapes.

It differs from the paper's equations in every term; kernels/README.md lists how. Its purpose is to
reproduce and compare the numbers, not speed. Nothing here waits for the device: rows are sorted by role instead of
selected, so that no shape depends on the values.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import torch
import torch.nn.functional as F
from hscl_kernels import normal_weights, unit
from torch import Tensor

_MIXED = 2  # rows mixed into one anchor, positive or negative
_WEIGHT_THRESHOLD = 0.4
_EPS = 1e-8


class ReleasedDraws(NamedTuple):
    """The random choices, in the order in which the released code makes them.

    ``anchors`` and ``positives`` are int64 ``[2 N]``, places in [labelled-normal rows; unlabelled rows] concatenated in
    row order; ``negatives`` is int64 ``[N, 2]``, places among the abnormal rows in row order; the mixing weights are
    float ``[N, 2]`` in [0, 1), not yet normalised.
    """

    anchors: Tensor
    anchor_mix: Tensor
    positives: Tensor
    positive_mix: Tensor
    negatives: Tensor
    negative_mix: Tensor


class ReleasedLoss(NamedTuple):
    """``nt_xent``: the sample-to-sample term. ``convex``: sample-to-prototype plus normal-to-abnormal. Scalars."""

    nt_xent: Tensor
    convex: Tensor


def released_loss(
    embeddings: Tensor,
    prototypes: Tensor,
    roles: Tensor,
    *,
    temperature: float = 0.5,
    draws: Sequence[Tensor] | None = None,
    uniforms: Tensor | None = None,
) -> ReleasedLoss:
    """Return the released objective (without its rotation loss).

    Parameters
    ----------
    embeddings
        Raw features, ``[N, D]``; the first half of the rows is view 1, the second half view 2 in the same order.
    prototypes
        Raw prototypes, ``[K, D]``.
    roles
        Integer ``[N]`` in {+1, 0, -1}, one per row (rotated copies inherit their image's role).
    temperature
        tau of the NT-Xent term. (The normal-to-abnormal term always multiplies similarities by 2.)
    draws
        The random choices, the six tensors of :class:`ReleasedDraws`; drawn here if absent.
    uniforms
        ``[6, N, 2]`` in (0, 1), the randomness of the draws; from torch's generator if absent.

    Returns
    -------
    ReleasedLoss
        Differentiable in embeddings and prototypes. As in the released code, ``convex`` is 0 if the batch lacks
        labelled normals or labelled anomalies.
    """
    units = unit(embeddings)
    directions = unit(prototypes)
    nearest = (units.detach() @ directions.T).amax(dim=1)  # [N], gradient to the prototypes only
    weights = normal_weights(nearest, roles)
    if draws is None:
        if uniforms is None:
            uniforms = torch.rand(6, len(roles), _MIXED, dtype=torch.float64, device=roles.device)
        draws = _draw(weights, roles, uniforms)
    draws = ReleasedDraws(*draws)
    prototype_term = _sample_to_prototype(units, directions, nearest, weights, roles)
    abnormal_term = _normal_to_abnormal(units, roles, draws)
    complete = (roles == 1).any() & (roles == -1).any()
    return ReleasedLoss(
        nt_xent=_nt_xent(units, temperature),
        convex=torch.where(complete, prototype_term + abnormal_term, 0.0),
    )


def _nt_xent(units: Tensor, temperature: float) -> Tensor:
    """Return the mean of -log(p + 1e-8) of the positive, p over all other rows; the 1e-8 is the released code's."""
    rows = torch.arange(len(units), device=units.device)
    partner = (rows + len(units) // 2) % len(units)
    logits = units @ units.T / temperature
    logits = logits.masked_fill(rows[:, None] == rows[None, :], float("-inf"))
    exponentials = logits.exp()
    p = exponentials[rows, partner] / (exponentials.sum(dim=1) + _EPS)
    return -(p + _EPS).log().mean()


def _sample_to_prototype(units: Tensor, directions: Tensor, nearest: Tensor, weights: Tensor, roles: Tensor) -> Tensor:
    """Return the mean over n+u rows of (w (m - 1))^2, plus mean over anomalies and all prototypes of (<u, v> + 1)^2."""
    normal = (roles >= 0).to(units.dtype)
    abnormal = (roles == -1).to(units.dtype)
    pulled = (weights * (nearest - 1)).square() * normal
    pushed = (units.detach() @ directions.T + 1).square().mean(dim=1) * abnormal
    return pulled.sum() / normal.sum().clamp(min=1) + pushed.sum() / abnormal.sum().clamp(min=1)


def _normal_to_abnormal(units: Tensor, roles: Tensor, draws: ReleasedDraws) -> Tensor:
    """Return the cross-entropy of 2 [<a, p>, <a, n>] against class 0 over N mixed anchors, positives and negatives."""
    normal_order = _normal_order(roles)
    abnormal_order = (roles != -1).to(torch.int8).argsort(stable=True)
    anchors = _mix(units[normal_order[draws.anchors]], draws.anchor_mix)
    positives = _mix(units[normal_order[draws.positives]], draws.positive_mix)
    negatives = _mix(units[abnormal_order[draws.negatives.flatten()]], draws.negative_mix)
    difference = ((anchors * negatives).sum(dim=1) - (anchors * positives).sum(dim=1)) * 2
    return F.softplus(difference).mean()


def _normal_order(roles: Tensor) -> Tensor:
    """Return row numbers: labelled normals first, then unlabelled rows, then the rest, each in row order."""
    group = torch.where(roles == 1, 0, torch.where(roles == 0, 1, 2))
    return group.argsort(stable=True)


def _mix(rows: Tensor, mix: Tensor) -> Tensor:
    """Return normalised convex combinations: rows ``[2 N, D]`` with unnormalised weights ``[N, 2]`` -> ``[N, D]``."""
    shares = (mix / mix.sum(dim=1, keepdim=True)).to(rows.dtype)
    return unit((rows.view(*mix.shape, -1) * shares[:, :, None]).sum(dim=1))


def _draw(weights: Tensor, roles: Tensor, uniforms: Tensor) -> ReleasedDraws:
    """Draw anchors and positives by weight (above the threshold) and negatives uniformly, by inversion."""
    ordered = weights[_normal_order(roles)].double()
    cumulative = torch.where(ordered > _WEIGHT_THRESHOLD, ordered, 0.0).cumsum(0)
    last = len(roles) - 1

    def by_weight(u: Tensor) -> Tensor:
        return torch.searchsorted(cumulative, u.flatten() * cumulative[-1], right=True).clamp(max=last)

    abnormal = (roles == -1).sum()
    return ReleasedDraws(
        anchors=by_weight(uniforms[0]),
        anchor_mix=uniforms[1],
        positives=by_weight(uniforms[2]),
        positive_mix=uniforms[3],
        negatives=(uniforms[4] * abnormal).long().clamp(max=last),
        negative_mix=uniforms[5],
    )
