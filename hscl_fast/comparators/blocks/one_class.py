"""One-class training: a network is pre-trained without labels, then learns to map normal images close to a centre."""

from __future__ import annotations

from abc import abstractmethod
from typing import ClassVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from hscl_fast.comparators.blocks.batches import Batches
from hscl_fast.comparators.blocks.contrastive_body import ContrastiveBody
from hscl_fast.comparators.blocks.kept import kept, part_of, restore
from hscl_fast.comparators.blocks.lenet import are_grey
from hscl_fast.comparators.blocks.lenet_body import LeNetBody
from hscl_fast.comparators.blocks.loop import Loop, Stage
from hscl_fast.comparators.blocks.one_class_body import OneClassBody
from hscl_fast.comparators.comparator import Comparator, Progress, Scores, State, VisibleImages
from hscl_fast.data.types import ABNORMAL
from hscl_fast.method.image_batches import ImageSequence

_BODY, _GREY = "network", "grey"


class OneClassComparator(Comparator):
    """The squared distance from the centre of the features of all images that are not labelled anomalies.

    In the mode ``original`` the network is the small one of Deep SVDD, pre-trained as an autoencoder. In the mode
    ``shared`` it is the run's encoder, which contrasts the run's views: alone for the first half of its budget, and
    beside the one-class loss for the second. Its embeddings have unit length.
    """

    learns_from_anomalies: ClassVar[bool]

    @abstractmethod
    def loss(self, features: Tensor, centre: Tensor, roles: Tensor, epoch: float) -> Tensor:
        """Return the loss of a batch.

        Parameters
        ----------
        features
            float32 ``[B, D]``.
        centre
            float32 ``[D]``.
        roles
            int8 ``[B]``.
        epoch
            Passes over the images done, without the pre-training.
        """

    def fit(self, given: VisibleImages, progress: Progress) -> None:
        """Pre-train, take the centre, and train."""
        seen = given.roles >= (ABNORMAL if self.learns_from_anomalies else ABNORMAL + 1)
        roles = torch.from_numpy(given.roles[seen])
        images = torch.from_numpy(np.ascontiguousarray(given.images[seen]))
        self._build(grey=are_grey(given.images))
        body, device = self._body, self.setting.execution.device
        plan, seed = body.plan(images), self.setting.config.runtime.seed
        batches = Batches(torch.arange(len(roles)), plan.batch, seed=seed, name="one class")

        def loss(step: int) -> dict[str, Tensor]:
            rows = batches.at(step)
            features, beside = body.features(images[rows].to(device), rows.to(device), step)
            epoch = step * plan.batch / len(roles)
            return {"loss": self.loss(features, body.centre, roles[rows].to(device), epoch) + beside}

        def take_centre() -> None:
            body.centre.copy_(body.centre_of(body.embed(images[roles != ABNORMAL].numpy())))

        stage = Stage("one class", plan.steps, loss, plan.parameters, plan.optimizer, plan.rate, prepare=take_centre)
        Loop(body, seed=seed, progress=progress).run([plan.pretraining, stage])

    def score(self, images: ImageSequence) -> Scores:
        """Return minus the squared distance from the centre."""
        distances = (self._body.embed(images) - self._body.centre).square().sum(dim=1)
        scores: Scores = -distances.double().cpu().numpy()
        return scores

    def embed(self, images: ImageSequence) -> NDArray[np.float32]:
        """Return the features."""
        features: NDArray[np.float32] = self._body.embed(images).cpu().numpy()
        return features

    def state(self) -> State:
        """Return the network and the centre."""
        return {_GREY: torch.tensor(self._grey), **kept(_BODY, self._body)}

    def load(self, state: State) -> None:
        """Take them."""
        self._build(grey=bool(part_of(state, _GREY)))
        restore(_BODY, self._body, state)

    def _build(self, *, grey: bool) -> None:
        self._grey = grey
        original = self.setting.mode == "original"
        self._body: OneClassBody = LeNetBody(self.setting, grey=grey) if original else ContrastiveBody(self.setting)
