"""CSI (Tack et al., NeurIPS 2020): contrast with shifted instances. No labels."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import torch
from hscl_kernels import unit
from numpy.typing import NDArray
from torch import Tensor

from hscl_fast.comparators.blocks.bank import embed_crops
from hscl_fast.comparators.blocks.contrastive import contrastive_network, contrastive_views, embed_upright, pretraining
from hscl_fast.comparators.blocks.kept import kept, part_of, restore
from hscl_fast.comparators.blocks.loop import Loop
from hscl_fast.comparators.comparator import Comparator, Progress, Scores, Setting, State, VisibleImages
from hscl_fast.data.types import ABNORMAL
from hscl_fast.method.augment import ROTATIONS
from hscl_fast.method.image_batches import ImageSequence

CROP_AREA = 0.54  # of the crops that are scored
# A rotation classifier that has learned nothing has logits near 0, which must not outweigh the similarity.
LEAST_LOGIT = 0.1
_CHUNK = 1024  # images that are compared with the bank at once


class CsiComparator(Comparator):
    """InfoNCE in which rotated copies are instances of their own, and a classifier of the rotation.

    An image's score is the mean over its four turns r of

        max_i <f_r(x), f_r(x_i) / |f_r(x_i)|> / mean_i |f_r(x_i)|  +  h_r(x)[r] / mean_i h_r(x_i)[r]

    with f the embedding, not normalised, and h the rotation logits, both means over some crops, and x_i the training
    images that are not labelled anomalies. The first is the similarity to the nearest of them times a length that is
    larger where the network knows the image.
    """

    def __init__(self, setting: Setting) -> None:
        super().__init__(setting)
        self.crops = setting.config.method.crops
        self.passes = self.crops * ROTATIONS
        self.network = contrastive_network(setting, rotations=True)
        self.views = replace(contrastive_views(setting, rotations=True), crop_area=(CROP_AREA, CROP_AREA))
        device = setting.execution.device
        self.bank = torch.zeros(0, ROTATIONS, self.network.prototypes.shape[1], device=device)
        self.lengths, self.logits = torch.ones(ROTATIONS, device=device), torch.ones(ROTATIONS, device=device)

    def fit(self, given: VisibleImages, progress: Progress) -> None:
        """Train on all images that are not labelled anomalies, and remember their embeddings."""
        known = given.images[given.roles != ABNORMAL]
        images = torch.from_numpy(known).to(self.setting.execution.device)
        stage = pretraining(self.setting, self.network, images)
        Loop(self.network, seed=self.setting.config.runtime.seed, progress=progress).run([stage])
        embeddings, logits = self._embed(known)
        self.bank, self.lengths = unit(embeddings), embeddings.norm(dim=2).mean(dim=0)
        self.logits = logits.mean(dim=0).clamp(min=LEAST_LOGIT)

    def score(self, images: ImageSequence) -> Scores:
        """Return the score of CSI."""
        embeddings, logits = self._embed(images)
        similarity = torch.cat([self._nearest(chunk) for chunk in embeddings.split(_CHUNK)])
        scores = (similarity / self.lengths + logits / self.logits).mean(dim=1)
        found: Scores = scores.double().cpu().numpy()
        return found

    def state(self) -> State:
        """Return the network, the unit embeddings of the training images, and the two means of each turn."""
        return {
            **kept("network", self.network),
            "bank": self.bank,
            "lengths": self.lengths,
            "logits": self.logits,
        }

    def load(self, state: State) -> None:
        """Take them."""
        restore("network", self.network, state)
        device, bank = self.setting.execution.device, part_of(state, "bank")
        if bank.dim() != 3 or bank.shape[1:] != self.bank.shape[1:] or not len(bank):
            raise ValueError(
                f"has bank of shape {list(bank.shape)}, expected [n, {', '.join(map(str, self.bank.shape[1:]))}]"
            )
        self.bank = bank.to(device)
        self.lengths = part_of(state, "lengths", like=self.lengths).to(device)
        self.logits = part_of(state, "logits", like=self.logits).to(device)

    def embed(self, images: ImageSequence) -> NDArray[np.float32]:
        """Return the raw embeddings ``[n, D]`` of the upright images, not augmented."""
        found: NDArray[np.float32] = embed_upright(self.network, images, self.setting).cpu().numpy()
        return found

    def _embed(self, images: ImageSequence) -> tuple[Tensor, Tensor]:
        """Return embeddings ``[n, 4, D]``, and of each turn's logits that of the turn itself, ``[n, 4]``."""
        self.network.eval()
        embeddings, logits = embed_crops(self.network, images, self.views, self.setting.execution, crops=self.crops)
        assert logits is not None  # the network has a rotation classifier
        return embeddings, logits.diagonal(dim1=1, dim2=2)

    def _nearest(self, embeddings: Tensor) -> Tensor:
        """Return the largest product with the bank, ``[n, 4]`` from ``[n, 4, D]``."""
        by_turn = zip(embeddings.unbind(dim=1), self.bank.unbind(dim=1), strict=True)
        return torch.stack([(own @ known.T).amax(dim=1) for own, known in by_turn], dim=1)
