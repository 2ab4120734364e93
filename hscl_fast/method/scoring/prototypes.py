"""The paper's scores: similarity to the nearest prototype (Eq. 9), of one view or averaged over four rotations."""

from __future__ import annotations

from hscl_kernels import prototype_similarity
from torch import Tensor

from hscl_fast.method.augment import ROTATIONS
from hscl_fast.method.scoring.scoring import Scoring


class PrototypeScoring(Scoring):
    """Eq. 9: the largest cosine between an un-augmented view's embedding and a prototype."""

    def _score_batch(self, images: Tensor) -> Tensor:
        embeddings, _ = self._features(self._upright(images, self.rows_per_image))
        similarity, _ = prototype_similarity(embeddings, self.network.prototypes.float())
        return similarity.view(self.rows_per_image, -1).mean(dim=0)


class RotationScoring(PrototypeScoring):
    """The mean of Eq. 9 over the four rotations of an image."""

    rows_per_image = ROTATIONS
