"""The inputs that every variant gets."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from hscl_fast.method.augment import ROTATIONS, VIEWS, instance_ids
from hscl_fast.method.released_loss import ReleasedDraws

FEATURES = 128
LABELLED = 0.05  # share of the images labelled normal; as many are labelled abnormal


class Batch(NamedTuple):
    """``embeddings [N, D]`` and ``prototypes [1, D]`` raw; ``image_roles [B]`` with B = N / 8; float32 ``draws``."""

    embeddings: Tensor
    prototypes: Tensor
    instance_ids: Tensor
    image_roles: Tensor
    draws: ReleasedDraws


def make_batch(rows: int, device: torch.device | None = None, dtype: torch.dtype = torch.float32) -> Batch:
    """Return N ``rows`` in row order, (view * 4 + rotation) * B + image, the two views of an image alike but not equal.

    The released objective's draws are made here, in its favour: none of its time goes into them.
    """
    random = torch.Generator().manual_seed(0)
    images = rows // (VIEWS * ROTATIONS)
    views = torch.randn(rows // VIEWS, FEATURES, generator=random).repeat(VIEWS, 1)
    embeddings = views + 0.5 * torch.randn(rows, FEATURES, generator=random)
    labelled = max(1, round(LABELLED * images))
    image_roles = torch.zeros(images, dtype=torch.long)
    order = torch.randperm(images, generator=random)
    image_roles[order[:labelled]] = 1
    image_roles[order[labelled : 2 * labelled]] = -1
    batch = Batch(
        embeddings.to(device, dtype).requires_grad_(),
        torch.randn(1, FEATURES, generator=random).to(device).requires_grad_(),
        instance_ids(images, torch.device("cpu")).to(device),
        image_roles.to(device),
        _draws(rows, rows - labelled * VIEWS * ROTATIONS, labelled * VIEWS * ROTATIONS, random),
    )
    return batch._replace(draws=ReleasedDraws(*(draw.to(device) for draw in batch.draws)))


def _draws(rows: int, normal: int, abnormal: int, random: torch.Generator) -> ReleasedDraws:
    mixes = torch.rand(3, rows, 2, generator=random)
    anchors, positives = torch.randint(normal, (2, 2 * rows), generator=random)
    negatives = torch.randint(abnormal, (rows, 2), generator=random)
    return ReleasedDraws(anchors, mixes[0], positives, mixes[1], negatives, mixes[2])
