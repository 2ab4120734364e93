"""GOAD (Bergman and Hoshen, ICLR 2020) for images: the distance to the centre of each transformation. No labels."""

from __future__ import annotations

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from hscl_fast.comparators.blocks.batches import Batches
from hscl_fast.comparators.blocks.budget import affordable_steps, hscl_views
from hscl_fast.comparators.blocks.classifier import embed_upright
from hscl_fast.comparators.blocks.kept import kept, part_of, restore
from hscl_fast.comparators.blocks.loop import Loop, Stage, adam
from hscl_fast.comparators.blocks.rates import constant
from hscl_fast.comparators.blocks.run_optimizer import run_optimizer, run_rate, trained
from hscl_fast.comparators.blocks.transformation_classifier import TransformationClassifier
from hscl_fast.comparators.blocks.transformations import flips_and_turns, flips_turns_and_shifts
from hscl_fast.comparators.comparator import Comparator, Progress, Scores, Setting, State, VisibleImages
from hscl_fast.data.types import ABNORMAL
from hscl_fast.method.image_batches import ImageSequence

TRIPLET_WEIGHT, MARGIN, LENGTH_WEIGHT = 0.1, 0.1, 10.0
_EPOCHS, _BATCH, _RATE = 16, 4, 1e-3  # of the publication, in images under all transformations


class GoadComparator(Comparator):
    """A classifier of transformations whose features lie near the centre of their transformation.

    A view's probability of a transformation falls with the squared distance to the centre of that one, and an image's
    score is the sum over all its views of the log-probability of the right one. In the mode ``shared`` there are 8
    transformations, the flips and quarter turns; in the mode ``original`` 72, with shifts.
    """

    def __init__(self, setting: Setting) -> None:
        super().__init__(setting)
        original = setting.mode == "original"
        self.classifier = TransformationClassifier(setting, flips_turns_and_shifts() if original else flips_and_turns())
        self.passes = len(self.classifier.transformations)
        shape = (len(self.classifier.transformations), self.classifier.model.head.in_features)
        self.centres = torch.zeros(shape, device=setting.execution.device)

    def fit(self, given: VisibleImages, progress: Progress) -> None:
        """Train on all images that are not labelled anomalies, then take the centres of their features."""
        known = given.images[given.roles != ABNORMAL]
        model, seed = self.classifier.model, self.setting.config.runtime.seed
        Loop(model, seed=seed, progress=progress).run([self._stage(known)])
        sums = torch.zeros_like(self.centres)
        for features, _ in self.classifier.classify_all(known):
            sums += features.sum(dim=0)
        self.centres = sums / len(known)

    def score(self, images: ImageSequence) -> Scores:
        """Return the sum of the log-probabilities of the right transformations."""
        parts = [
            right_probability(features, self.centres).sum(dim=1) for features, _ in self.classifier.classify_all(images)
        ]
        scores: Scores = torch.cat(parts).double().cpu().numpy()
        return scores

    def state(self) -> State:
        """Return the network and the centres."""
        return {**kept("model", self.classifier.model), "centres": self.centres}

    def load(self, state: State) -> None:
        """Take them."""
        restore("model", self.classifier.model, state)
        self.centres = part_of(state, "centres", like=self.centres).to(self.centres.device)

    def embed(self, images: ImageSequence) -> NDArray[np.float32]:
        """Return the features ``[n, F]`` of the upright images."""
        return embed_upright(self.classifier.model, images, self.setting)

    def _stage(self, known: NDArray[np.uint8]) -> Stage:
        count = len(self.classifier.transformations)
        images = torch.from_numpy(known).to(self.setting.execution.device)
        if self.setting.mode == "shared":
            batch = min(max(2, hscl_views(self.setting, len(images)) // count), len(images))
            steps = affordable_steps(self.setting, len(images), batch * count)
            optimizer, rate = run_optimizer(self.setting, self.classifier.model.encoder), run_rate(self.setting)
        else:
            batch = min(_BATCH, len(images))
            steps = min(_EPOCHS * (len(images) // batch), affordable_steps(self.setting, len(images), batch * count))
            optimizer, rate = adam(_RATE), constant
        rows = torch.arange(len(images), device=images.device)
        batches = Batches(rows, batch, seed=self.setting.config.runtime.seed, name="images")
        which = torch.arange(count, device=images.device).repeat_interleave(batch)
        place = torch.arange(batch, device=images.device).repeat(count)

        def loss(step: int) -> dict[str, Tensor]:
            features, logits = self.classifier.classify(images.index_select(0, batches.at(step)), place, which)
            return goad_losses(features, logits, which)

        return Stage("training", steps, loss, trained(self.classifier.model.train()), optimizer, rate)


def goad_losses(features: Tensor, logits: Tensor, which: Tensor) -> dict[str, Tensor]:
    """Return the losses of a batch of images under all M transformations, transformation by transformation.

    Cross-entropy, plus 0.1 times the mean of ``max(0, |z - c_m|^2 + 0.1 - min_m' |z - c_m'|^2)`` with c the means of
    the batch, plus 10 times the mean of z^2.

    Parameters
    ----------
    features, logits
        ``[M * B, F]`` and ``[M * B, M]``.
    which
        int64 ``[M * B]``, the transformation of each row.
    """
    count = logits.shape[1]
    centres = features.view(count, -1, features.shape[1]).mean(dim=1)
    distances = _squared_distances(features, centres)  # [M * B, M]
    own = distances.gather(1, which[:, None])[:, 0]
    others = distances.scatter(1, which[:, None], torch.inf).amin(dim=1)
    triplet = F.relu(own + MARGIN - others).mean()
    classification, length = F.cross_entropy(logits, which), features.square().mean()
    loss = classification + TRIPLET_WEIGHT * triplet + LENGTH_WEIGHT * length
    return {"loss": loss, "classification": classification, "triplet": triplet, "length": length}


def right_probability(features: Tensor, centres: Tensor) -> Tensor:
    """Return the log-probability ``[B, M]`` of the right transformation, from features ``[B, M, F]``."""
    distances = _squared_distances(features.flatten(0, 1), centres).view(len(features), len(centres), -1)
    return F.log_softmax(-distances, dim=2).diagonal(dim1=1, dim2=2)


def _squared_distances(features: Tensor, centres: Tensor) -> Tensor:
    """Return ``|z_i - c_m|^2``, ``[n, M]``."""
    squares = features.square().sum(dim=1, keepdim=True) + centres.square().sum(dim=1)
    return (squares - 2 * features @ centres.T).clamp(min=0)
