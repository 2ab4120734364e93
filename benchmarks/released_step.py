"""The released recipe's training step, written anew: eager, float32, draws by NumPy, labels by a Python loop."""

from __future__ import annotations

import numpy as np
import torch
import torch.nn.functional as F
from hscl_kernels import ViewParameters
from torch import Tensor

from benchmarks import released_eager, released_views
from hscl_fast.method.augment import ROTATIONS, VIEWS
from hscl_fast.method.network import Network
from hscl_fast.method.released_loss import ReleasedDraws

_TRIALS = 10
_WEIGHT_THRESHOLD = 0.4


class ReleasedStep:
    """Views, encoder, released objective with its rotation loss, backward, Adam."""

    def __init__(self, model: Network) -> None:
        self.model = model
        # On a GPU, torch's own choice is foreach.
        self.optimizer = torch.optim.Adam(model.parameters(), lr=1e-3, weight_decay=1e-6, foreach=True)
        self.random = np.random.default_rng(0)

    def __call__(self, images: Tensor, roles: Tensor) -> Tensor:
        """Train on uint8 ``images [B, H, W, 3]`` and return the loss."""
        views = released_views.augment(images, self._draw(len(images), images.shape[1]))
        row_roles, rotations = self._label(roles)
        features = self.model(views)
        embeddings, prototypes = features.embeddings, self.model.prototypes
        draws = self._draw_rows(embeddings.detach(), prototypes.detach(), row_roles)
        loss = released_eager.objective(embeddings, prototypes, row_roles, draws)
        loss = loss + F.cross_entropy(features.rotation_logits, rotations)
        self.optimizer.zero_grad()
        loss.backward()
        self.optimizer.step()
        return loss.detach()

    def _label(self, roles: Tensor) -> tuple[Tensor, Tensor]:
        """Return the role and the rotation of every row, one by one."""
        of_rows, rotations = [], []
        for _ in range(VIEWS):
            for rotation in range(ROTATIONS):
                for role in roles:
                    of_rows.append(role.item())
                    rotations.append(rotation)
        return torch.tensor(of_rows), torch.tensor(rotations)

    def _draw(self, batch: int, size: int) -> ViewParameters:
        rows, random = VIEWS * ROTATIONS * batch, self.random
        area = random.uniform(0.08, 1, rows * _TRIALS) * size**2
        ratio = np.exp(random.uniform(np.log(3 / 4), np.log(4 / 3), rows * _TRIALS))
        w, h = np.round(np.sqrt(area * ratio)), np.round(np.sqrt(area / ratio))
        fits = (w > 0) & (w <= size) & (h > 0) & (h <= size)
        w, h = w[fits][:rows], h[fits][:rows]
        w_bias = random.integers((w - size).astype(int), (size - w + 1).astype(int))
        h_bias = random.integers((h - size).astype(int), (size - h + 1).astype(int))
        never = torch.zeros(rows, dtype=torch.bool)
        return ViewParameters(
            image=torch.arange(batch).repeat(VIEWS * ROTATIONS),
            flip=(torch.rand(VIEWS, 1, batch) < 0.5).expand(VIEWS, ROTATIONS, batch).reshape(-1),
            rotation=torch.arange(ROTATIONS).repeat_interleave(batch).repeat(VIEWS),
            jitter=torch.rand(rows) < 0.8,
            contrast_first=torch.full((rows,), bool(random.random() < 0.5)),
            hue=torch.empty(rows).uniform_(-0.1, 0.1),
            saturation=torch.empty(rows).uniform_(0.6, 1.4),
            value=torch.empty(rows).uniform_(0.6, 1.4),
            contrast=torch.empty(rows).uniform_(0.6, 1.4),
            gray=torch.rand(rows) < 0.2,
            crop=torch.tensor(np.stack((w, h, w_bias, h_bias), axis=1) / size, dtype=torch.float32),
            crop_first=never,
        )

    def _draw_rows(self, embeddings: Tensor, prototypes: Tensor, roles: Tensor) -> ReleasedDraws:
        """Draw anchors and positives by weight, negatives uniformly, and how they are mixed."""
        rows, random = len(embeddings), self.random
        nearest = (F.normalize(embeddings) @ F.normalize(prototypes).T).amax(dim=1)
        weights = torch.cat((torch.ones(int((roles == 1).sum())), (nearest[roles == 0] + 1) / 2)).numpy()
        weights = np.where(weights > _WEIGHT_THRESHOLD, weights, 0).astype(np.float64)
        chances = weights / weights.sum()
        mixes = torch.rand(3, rows, 2)
        anchors, positives = (torch.tensor(random.choice(len(weights), 2 * rows, p=chances)) for _ in range(2))
        negatives = torch.tensor(random.integers(int((roles == -1).sum()), size=(rows, 2)))
        return ReleasedDraws(anchors, mixes[0], positives, mixes[1], negatives, mixes[2])
