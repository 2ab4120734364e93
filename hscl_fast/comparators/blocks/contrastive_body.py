"""The run's encoder, pre-trained by contrasting the run's views, for the mode ``shared`` of one-class trainings."""

from __future__ import annotations

import torch
from hscl_kernels import augment_views, info_nce, unit
from torch import Tensor

from hscl_fast.comparators.blocks.budget import affordable_steps, hscl_views
from hscl_fast.comparators.blocks.contrastive import (
    TEMPERATURE,
    contrastive_network,
    contrastive_views,
    embed_upright,
    pretraining,
)
from hscl_fast.comparators.blocks.one_class_body import OneClassBody, Plan
from hscl_fast.comparators.blocks.run_optimizer import run_optimizer, run_rate, trained
from hscl_fast.comparators.comparator import Setting
from hscl_fast.device import encoder_precision
from hscl_fast.method.augment import VIEWS, draw_views, instance_ids
from hscl_fast.method.image_batches import ImageSequence

# Against the one-class loss. With 1, Deep SVDD mapped all digits of 8 pixels to the centre in a run of HSCL's 500 steps
# (AUROC 0.82, squared distances around 1e-5); with 10 it did not (0.89, 0.1 to 1).
CONTRAST_WEIGHT = 10.0


class ContrastiveBody(OneClassBody):
    """The encoder and the projection head: the first half of HSCL's views contrast only, the second half do both.

    The contrast goes on beside the one-class loss, because the encoder has biases, with which it could map every image
    to the centre. The one-class loss sees the first view of each image. Embeddings have unit length, because the
    contrast says nothing about lengths. So the squared distance is 2 - 2 cos, and the centre, a mean direction, needs
    no coordinate moved away from 0.
    """

    def __init__(self, setting: Setting) -> None:
        network = contrastive_network(setting, rotations=False)
        super().__init__(setting.config.model.embedding_dim, setting.execution.device)
        self.setting, self.network = setting, network
        self.views = contrastive_views(setting, rotations=False)

    def plan(self, images: Tensor) -> Plan:
        """Return the contrast for half of the budget, and the same batches and schedule once more."""
        setting, count = self.setting, len(images)
        size = min(max(2, hscl_views(setting, count) // VIEWS), count)
        steps = max(1, affordable_steps(setting, count, VIEWS * size) // 2)
        contrast = pretraining(setting, self.network, images.to(setting.execution.device), share=0.5)
        optimizer = run_optimizer(setting, self.network.encoder)
        return Plan(contrast, steps, size, trained(self.network), optimizer, run_rate(setting))

    def features(self, images: Tensor, indices: Tensor, step: int) -> tuple[Tensor, Tensor]:
        """Return the unit embeddings of one new view of each image, and the contrast of two."""
        config, execution, device = self.setting.config, self.setting.execution, images.device
        self.network.train()
        drawn = draw_views(
            self.views,
            indices,
            seed=torch.tensor(config.runtime.seed + 1, device=device),  # views that the pre-training has not had
            step=torch.tensor(step, device=device),
            size=(images.shape[1], images.shape[2]),
        )
        mean, std = self.network.statistics
        backend = self.views.backend
        views = augment_views(images, drawn, dtype=execution.precision, mean=mean, std=std, backend=backend)
        with encoder_precision(device, execution.precision):
            embeddings = self.network(views).embeddings.float()
        ids = instance_ids(len(images), device, rotations=1)
        contrast = info_nce(embeddings, ids, TEMPERATURE, backend=config.objective.backend)
        return unit(embeddings[: len(images)]), CONTRAST_WEIGHT * contrast

    def embed(self, images: ImageSequence) -> Tensor:
        """Return the unit embeddings."""
        return unit(embed_upright(self.network, images, self.setting))

    def centre_of(self, features: Tensor) -> Tensor:
        """Return the mean direction."""
        return unit(features.mean(dim=0, keepdim=True))[0]
