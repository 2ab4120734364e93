"""The released code's objective, written out in the eager steps that code takes; its value is ``released_loss``'s.

``hscl_fast.method.released_loss`` computes the same numbers with less work; users of the released code wait for this.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from hscl_fast.method.released_loss import ReleasedDraws

_EPS = 1e-8


def nt_xent(embeddings: Tensor, temperature: float = 0.5) -> Tensor:
    """Return NT-Xent of ``[N, D]`` rows whose second half is view 2: -log(p + eps) of all N x N, then the pairs'."""
    u = F.normalize(embeddings)
    half = len(u) // 2
    exponentials = torch.exp(u @ u.T / temperature) * (1 - torch.eye(len(u), device=u.device))
    p = exponentials / (exponentials.sum(dim=1, keepdim=True) + _EPS)
    losses = -torch.log(p + _EPS)
    return (losses[:half, half:].diag().sum() + losses[half:, :half].diag().sum()) / len(u)


def objective(embeddings: Tensor, prototypes: Tensor, roles: Tensor, draws: ReleasedDraws) -> Tensor:
    """Return NT-Xent plus sample-to-prototype plus normal-to-abnormal; rotated copies inherit their image's role."""
    u, v = F.normalize(embeddings), F.normalize(prototypes)
    terms = _sample_to_prototype(u.detach(), v, roles) + _normal_to_abnormal(u, roles, draws)
    return nt_xent(embeddings) + terms


def _sample_to_prototype(u: Tensor, v: Tensor, roles: Tensor) -> Tensor:
    labelled, unlabelled, abnormal = (u[roles == role] for role in (1, 0, -1))
    nearest = torch.cat(((labelled @ v.T).amax(dim=1), (unlabelled @ v.T).amax(dim=1)))
    weights = ((nearest.detach() + 1) / 2).clamp(0, 1)
    weights[: len(labelled)] = 1
    return (weights * (nearest - 1)).square().mean() + (abnormal @ v.T + 1).square().mean()


def _normal_to_abnormal(u: Tensor, roles: Tensor, draws: ReleasedDraws) -> Tensor:
    normal, abnormal = torch.cat((u[roles == 1], u[roles == 0])), u[roles == -1]
    anchors = _mix(normal[draws.anchors], draws.anchor_mix)
    positives = _mix(normal[draws.positives], draws.positive_mix)
    negatives = _mix(abnormal[draws.negatives.flatten()], draws.negative_mix)
    pairs = torch.diag(anchors @ positives.T), torch.diag(anchors @ negatives.T)
    logits = 2 * torch.stack(pairs, dim=1)
    return F.cross_entropy(logits, torch.zeros(len(logits), dtype=torch.long, device=logits.device))


def _mix(rows: Tensor, mix: Tensor) -> Tensor:
    shares = mix / mix.sum(dim=1, keepdim=True)
    return F.normalize((rows.view(*mix.shape, -1) * shares[:, :, None]).sum(dim=1))
