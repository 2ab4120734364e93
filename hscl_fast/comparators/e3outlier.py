"""E3Outlier (Wang et al., NeurIPS 2019): how sure a classifier of transformations is. No labels."""

from __future__ import annotations

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from hscl_fast.comparators.blocks.batches import Batches
from hscl_fast.comparators.blocks.budget import affordable_steps, hscl_views
from hscl_fast.comparators.blocks.classifier import embed_upright
from hscl_fast.comparators.blocks.kept import kept, restore
from hscl_fast.comparators.blocks.loop import Loop, Stage, adam
from hscl_fast.comparators.blocks.rates import constant
from hscl_fast.comparators.blocks.run_optimizer import run_optimizer, run_rate, trained
from hscl_fast.comparators.blocks.transformation_classifier import TransformationClassifier
from hscl_fast.comparators.blocks.transformations import e3_transformations, flips_and_turns
from hscl_fast.comparators.comparator import Comparator, Progress, Scores, Setting, State, VisibleImages
from hscl_fast.data.types import ABNORMAL
from hscl_fast.method.image_batches import ImageSequence

_VIEWS = 250  # that each image is trained on, of whichever transformations: 3 epochs of 111
_BATCH, _RATE, _WEIGHT_DECAY = 128, 1e-3, 5e-4  # of the publication


class E3OutlierComparator(Comparator):
    """A classifier of transformations; an image's score is the mean negative entropy of its predictions.

    In the mode ``shared`` there are 8 transformations, the flips and quarter turns; in the mode ``original`` 111. The
    publication scores the images that it was trained on; here the images scored are new.
    """

    def __init__(self, setting: Setting) -> None:
        super().__init__(setting)
        original = setting.mode == "original"
        self.classifier = TransformationClassifier(setting, e3_transformations() if original else flips_and_turns())
        self.passes = len(self.classifier.transformations)

    def fit(self, given: VisibleImages, progress: Progress) -> None:
        """Train on all images that are not labelled anomalies."""
        stage = self._stage(given.images[given.roles != ABNORMAL])
        Loop(self.classifier.model, seed=self.setting.config.runtime.seed, progress=progress).run([stage])

    def score(self, images: ImageSequence) -> Scores:
        """Return the mean over the transformations of ``sum_j p_j log p_j``."""
        parts = [negative_entropy(logits).mean(dim=1) for _, logits in self.classifier.classify_all(images)]
        scores: Scores = torch.cat(parts).double().cpu().numpy()
        return scores

    def state(self) -> State:
        """Return the network."""
        return kept("model", self.classifier.model)

    def load(self, state: State) -> None:
        """Take it."""
        restore("model", self.classifier.model, state)

    def embed(self, images: ImageSequence) -> NDArray[np.float32]:
        """Return the features ``[n, F]`` of the upright images."""
        return embed_upright(self.classifier.model, images, self.setting)

    def _stage(self, known: NDArray[np.uint8]) -> Stage:
        count = len(self.classifier.transformations)
        images = torch.from_numpy(known).to(self.setting.execution.device)
        if self.setting.mode == "shared":
            batch = hscl_views(self.setting, len(images))
            steps = affordable_steps(self.setting, len(images), batch)
            optimizer, rate = run_optimizer(self.setting, self.classifier.model.encoder), run_rate(self.setting)
        else:
            batch, epochs = _BATCH, -(-_VIEWS // count)
            steps = min(-(-epochs * count * len(images) // batch), affordable_steps(self.setting, len(images), batch))
            optimizer, rate = adam(_RATE, weight_decay=_WEIGHT_DECAY), constant
        # Each pass shows every image under every transformation once.
        pairs = torch.arange(len(images) * count, device=images.device)
        batches = Batches(pairs, batch, seed=self.setting.config.runtime.seed, name="images and transformations")

        def loss(step: int) -> dict[str, Tensor]:
            pair = batches.at(step)
            which = pair % count
            logits = self.classifier.classify(images, pair // count, which).logits
            return {"loss": F.cross_entropy(logits, which)}

        return Stage("training", steps, loss, trained(self.classifier.model.train()), optimizer, rate)


def negative_entropy(logits: Tensor) -> Tensor:
    """Return ``sum_j p_j log p_j`` over the last dimension."""
    return (F.softmax(logits, dim=-1) * F.log_softmax(logits, dim=-1)).sum(dim=-1)
