"""Contrastive pre-training without labels: SimCLR, or CSI where there are rotated copies."""

from __future__ import annotations

from dataclasses import replace

import torch
import torch.nn.functional as F
from hscl_kernels import augment_views, info_nce
from torch import Tensor

from hscl_fast.comparators.blocks.batches import Batches
from hscl_fast.comparators.blocks.budget import affordable_steps, hscl_views
from hscl_fast.comparators.blocks.loop import MakeOptimizer, Stage
from hscl_fast.comparators.blocks.rates import cosine
from hscl_fast.comparators.blocks.run_optimizer import run_optimizer, run_rate, trained
from hscl_fast.comparators.blocks.upright import run_upright
from hscl_fast.comparators.comparator import Setting
from hscl_fast.config.sections import AugmentConfig, ModelConfig
from hscl_fast.device import encoder_precision
from hscl_fast.method.augment import ROTATIONS, VIEWS, draw_views, instance_ids
from hscl_fast.method.image_batches import ImageSequence
from hscl_fast.method.network import Network, build_network

TEMPERATURE = 0.5
_EPOCHS, _WARM_EPOCHS = 1000, 10  # of the publications
_CSI_BATCH, _SIMCLR_BATCH = 128, 512


def contrastive_network(setting: Setting, *, rotations: bool) -> Network:
    """Return the network, untrained on its device: the run's encoder, or the publications' ResNet-18 in full width.

    ``rotations`` gives it the rotation classifier.
    """
    model = setting.config.model if setting.mode == "shared" else ModelConfig()
    network = build_network(model, setting.image_size, rotation_head=rotations, seed=setting.config.runtime.seed)
    return network.to(setting.execution.device).to(memory_format=torch.channels_last)


def contrastive_views(setting: Setting, *, rotations: bool) -> AugmentConfig:
    """Return how views are drawn: the run's policy, or CSI's; upright only, or in four quarter turns."""
    policy = setting.config.augment
    if setting.mode == "original":
        policy = AugmentConfig(backend=policy.backend)
    return replace(policy, rotations=ROTATIONS if rotations else 1, cached_views=None)


def pretraining(setting: Setting, network: Network, images: Tensor, *, share: float = 1.0) -> Stage:
    """Return the stage that trains a network on all images ``[n, H, W, 3]``, each an instance of its own.

    With a rotation classifier it is CSI's, otherwise SimCLR's. In the mode ``shared`` it passes ``share`` of HSCL's
    views through the network, as many in a step as HSCL does. In the mode ``original`` it is LARS for 1000 epochs, of
    batches of 128 images (CSI) or 512 (SimCLR), but for at most as many views.
    """
    rotations = network.rotation_head is not None
    copies = VIEWS * (ROTATIONS if rotations else 1)
    if setting.mode == "shared":
        batch = min(max(2, hscl_views(setting, len(images)) // copies), len(images))
        optimizer, rate = run_optimizer(setting, network.encoder), run_rate(setting)
    else:
        batch = min(_CSI_BATCH if rotations else _SIMCLR_BATCH, len(images))
        optimizer, rate = lars(1.0, weight_decay=1e-6), cosine(warmup=_WARM_EPOCHS / _EPOCHS)
    steps = max(1, round(share * affordable_steps(setting, len(images), copies * batch)))
    if setting.mode == "original":
        steps = min(_EPOCHS * (len(images) // batch), steps)
    batches = Batches(
        torch.arange(len(images), device=images.device), batch, seed=setting.config.runtime.seed, name="contrast"
    )
    augment = contrastive_views(setting, rotations=rotations)

    def loss(step: int) -> dict[str, Tensor]:
        indices = batches.at(step)
        return contrastive_losses(setting, network, augment, images.index_select(0, indices), indices, step)

    network.train()
    return Stage("contrastive training", steps, loss, trained(network), optimizer, rate)


def embed_upright(network: Network, images: ImageSequence, setting: Setting, *, turn: int = 0) -> Tensor:
    """Return the raw embeddings, float32 ``[n, D]``, of images as they are but for ``turn`` quarter turns."""
    network.eval()
    return run_upright(
        lambda views: network(views).embeddings,
        images,
        setting.execution,
        network.statistics,
        batch=setting.config.evaluate.batch_size,
        turn=turn,
    )


def lars(learning_rate: float, *, weight_decay: float) -> MakeOptimizer:
    """Return a maker of LARS (You et al., 2017) with momentum 0.9."""
    from timm.optim import Lars  # after light_timm, which the network imports timm by

    return lambda parameters: Lars(parameters, lr=learning_rate, momentum=0.9, weight_decay=weight_decay)


def contrastive_losses(
    setting: Setting, network: Network, augment: AugmentConfig, images: Tensor, indices: Tensor, step: int
) -> dict[str, Tensor]:
    """Return InfoNCE of two views of every copy of every image and, with a rotation classifier, its cross-entropy.

    A rotated copy is an instance of its own, and so a negative of the upright image (Tack et al., 2020).

    Parameters
    ----------
    setting
        Seed, device and precision.
    network, augment
        What the views go through, and how they are drawn.
    images, indices
        uint8 ``[B, H, W, 3]`` and int64 ``[B]``, their indices among all.
    step
        On which the views depend.
    """
    config, execution = setting.config, setting.execution
    parameters = draw_views(
        augment,
        indices,
        seed=torch.tensor(config.runtime.seed, device=images.device),
        step=torch.tensor(step, device=images.device),
        size=(images.shape[1], images.shape[2]),
    )
    mean, std = network.statistics
    views = augment_views(images, parameters, dtype=execution.precision, mean=mean, std=std, backend=augment.backend)
    with encoder_precision(execution.device, execution.precision):
        features = network(views)
    ids = instance_ids(len(images), images.device, augment.rotations)
    contrast = info_nce(features.embeddings.float(), ids, TEMPERATURE, backend=config.objective.backend)
    if features.rotation_logits is None:
        return {"loss": contrast}
    rotation = F.cross_entropy(features.rotation_logits.float(), parameters.rotation)
    return {"loss": contrast + rotation, "contrast": contrast, "rotation": rotation}
