"""Elsa (Han et al., CIKM 2021): contrastive pre-training, then an energy over prototypes that labels shape."""

from __future__ import annotations

import copy
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import torch
import torch.nn.functional as F
from hscl_kernels import augment_views, unit
from numpy.typing import NDArray
from torch import Tensor, nn

from hscl_fast.comparators.blocks.bank import embed_crops
from hscl_fast.comparators.blocks.batches import Batches
from hscl_fast.comparators.blocks.budget import affordable_steps, hscl_views
from hscl_fast.comparators.blocks.contrastive import (
    contrastive_network,
    contrastive_views,
    embed_upright,
    pretraining,
)
from hscl_fast.comparators.blocks.distortions import distort
from hscl_fast.comparators.blocks.kept import kept, part_of, restore
from hscl_fast.comparators.blocks.loop import Loop, Stage, adam
from hscl_fast.comparators.blocks.prototype_energy import (
    energy,
    energy_loss,
    number_of_prototypes,
    spherical_k_means,
)
from hscl_fast.comparators.blocks.run_optimizer import run_optimizer, trained
from hscl_fast.comparators.blocks.weak_views import crop54
from hscl_fast.comparators.comparator import Comparator, Progress, Scores, Setting, State, VisibleImages
from hscl_fast.data.types import ABNORMAL, UNLABELLED
from hscl_fast.device import encoder_precision
from hscl_fast.method.augment import VIEWS, draw_views
from hscl_fast.method.image_batches import ImageSequence
from hscl_fast.method.network import Network

EPOCHS, BATCH, RATE = 50, 64, 1e-4  # of the publication's fine-tuning
PRETRAINING_EPOCHS = 1000
# In the mode shared: a fifth of the views, and a tenth of the rate, as the publication's 1e-4 is of HSCL's 1e-3.
SHARED_SHARE, SHARED_RATE = 0.2, 0.1
PROTOTYPE_ROUNDS = 3  # after which the prototypes are computed again
HELD_OUT = 0.05  # of the unlabelled images, by which the best round is chosen
_FEWEST_ROUNDS = 5


class _Model(nn.Module):
    """The network that is trained with its prototypes, and the best of its rounds so far."""

    def __init__(self, network: Network) -> None:
        super().__init__()
        self.network, self.best = network, copy.deepcopy(network)
        prototypes = torch.zeros(0, network.prototypes.shape[1], device=network.prototypes.device)
        self.prototypes: Tensor
        self.best_prototypes: Tensor
        self.best_auroc: Tensor
        self.register_buffer("prototypes", prototypes)
        self.register_buffer("best_prototypes", prototypes.clone())
        self.register_buffer("best_auroc", torch.full((), -1.0, dtype=torch.float64, device=prototypes.device))

    def make_room(self, prototypes: int) -> None:
        """Set K, the number of prototypes."""
        shape = (prototypes, self.prototypes.shape[1])
        self.prototypes, self.best_prototypes = self.prototypes.new_zeros(shape), self.prototypes.new_zeros(shape)


@dataclass(frozen=True, eq=False)
class _Held:
    """Unlabelled images kept out of the fine-tuning, and the same distorted, uint8 ``[m, H, W, 3]``."""

    images: NDArray[np.uint8]
    distorted: NDArray[np.uint8]


class ElsaComparator(Comparator):
    """SimCLR on all images that are not labelled anomalies, then fine-tuning by the energy over prototypes.

    The energy E(z) = log sum_k exp(<z, p_k> / tau) is high near the prototypes, which k-means finds among the same
    images. The loss raises it for normal and unlabelled images, as 1 / E, and lowers it for labelled anomalies, as
    1 / (C - E). Of the rounds of fine-tuning that one is kept which tells unlabelled images best from distorted ones;
    neither labels nor test images are looked at.

    An image's score is the energy, without the temperature, of the mean embedding of some crops.
    """

    rotations: ClassVar[bool] = False  # Elsa+ has rotated copies

    def __init__(self, setting: Setting) -> None:
        super().__init__(setting)
        self.views = crop54(contrastive_views(setting, rotations=self.rotations))
        self.crops = setting.config.method.crops
        self.passes = self.crops * self.views.rotations
        self.model = _Model(contrastive_network(setting, rotations=self.rotations))

    def fit(self, given: VisibleImages, progress: Progress) -> None:
        """Pre-train and fine-tune."""
        seed, device = self.setting.config.runtime.seed, self.setting.execution.device
        known = given.images[given.roles != ABNORMAL]
        self.model.make_room(number_of_prototypes(len(known)))
        held, rows = self._hold_out(given)
        share = (
            1 - SHARED_SHARE if self.setting.mode == "shared" else PRETRAINING_EPOCHS / (PRETRAINING_EPOCHS + EPOCHS)
        )
        stages = [
            pretraining(self.setting, self.model.network, torch.from_numpy(known).to(device), share=share),
            self._fine_tuning(given, rows, held, share=1 - share),
        ]
        Loop(self.model, seed=seed, progress=progress).run(stages)
        self._keep_the_best(held)  # the last round

    def score(self, images: ImageSequence) -> Scores:
        """Return the energy, summed over the four turns for Elsa+."""
        return self._scores(self.model.best, self.model.best_prototypes, images)

    def state(self) -> State:
        """Return the best network and its prototypes."""
        return {**kept("network", self.model.best), "prototypes": self.model.best_prototypes}

    def load(self, state: State) -> None:
        """Take them."""
        restore("network", self.model.best, state)
        prototypes, own = part_of(state, "prototypes"), self.model.best_prototypes
        if prototypes.dim() != 2 or prototypes.shape[1] != own.shape[1] or not len(prototypes):
            raise ValueError(f"has prototypes of shape {list(prototypes.shape)}, expected [K, {own.shape[1]}]")
        self.model.best_prototypes = prototypes.to(own.device)

    def embed(self, images: ImageSequence) -> NDArray[np.float32]:
        """Return the raw embeddings ``[n, D]`` of the upright images, not augmented."""
        return embed_upright(self.model.best, images, self.setting).cpu().numpy()

    def _hold_out(self, given: VisibleImages) -> tuple[_Held | None, Tensor]:
        """Return the images to choose a round by, None without unlabelled ones, and the rows to fine-tune on."""
        unlabelled = torch.from_numpy(np.flatnonzero(given.roles == UNLABELLED))
        rows = torch.arange(len(given.roles))
        if len(unlabelled) < 2:
            return None, rows
        seed = self.setting.config.runtime.seed
        chosen = Batches(unlabelled, max(1, round(HELD_OUT * len(unlabelled))), seed=seed, name="held out").at(0)
        images = torch.from_numpy(given.images[chosen.numpy()])
        distorted = distort(images, seed=torch.tensor(seed))
        return _Held(images.numpy(), distorted.numpy()), rows[~torch.isin(rows, chosen)]

    def _fine_tuning(self, given: VisibleImages, rows: Tensor, held: _Held | None, *, share: float) -> Stage:
        setting, device, model = self.setting, self.setting.execution.device, self.model
        images, roles = torch.from_numpy(given.images).to(device), torch.from_numpy(given.roles).to(device).long()
        known = given.images[given.roles != ABNORMAL]
        copies = VIEWS * self.views.rotations
        if setting.mode == "shared":
            batch = min(max(2, hscl_views(setting, len(rows)) // copies), len(rows))
            optimizer = run_optimizer(setting, model.network.encoder, factor=SHARED_RATE)
        else:
            batch = min(BATCH, len(rows))
            optimizer = adam(RATE)
        steps = max(1, round(share * affordable_steps(setting, len(rows), copies * batch)))
        if setting.mode == "original":
            steps = min(EPOCHS * (len(rows) // batch), steps)
        batches = Batches(rows.to(device), batch, seed=setting.config.runtime.seed, name="energy")
        round_steps = max(1, min(len(rows) // batch, steps // _FEWEST_ROUNDS))

        def loss(step: int) -> dict[str, Tensor]:
            if step % round_steps == 0:
                if step:
                    self._keep_the_best(held)
                if step // round_steps % PROTOTYPE_ROUNDS == 0:
                    self._find_prototypes(known)
            # The statistics of a batch with four turns of few images would be worse than those of pre-training.
            model.network.train(not self.rotations)
            indices = batches.at(step)
            return self._losses(images.index_select(0, indices), roles[indices], indices, step)

        return Stage("fine-tuning", steps, loss, trained(model.network), optimizer)

    def _losses(self, images: Tensor, roles: Tensor, indices: Tensor, step: int) -> dict[str, Tensor]:
        """Return the energy loss of both flips of all images and, for Elsa+, the rotation loss of the ordinary ones."""
        network, execution = self.model.network, self.setting.execution
        parameters = draw_views(
            self.views,
            indices,
            seed=torch.tensor(self.setting.config.runtime.seed, device=images.device),
            step=torch.tensor(step, device=images.device),
            size=(images.shape[1], images.shape[2]),
        )
        rows = len(parameters.image)
        parameters = parameters._replace(flip=torch.arange(rows, device=images.device) >= rows // VIEWS)
        mean, std = network.statistics
        views = augment_views(
            images, parameters, dtype=execution.precision, mean=mean, std=std, backend=self.views.backend
        )
        with encoder_precision(execution.device, execution.precision):
            features = network(views).map(lambda x: x.float())
        row_roles = roles[parameters.image]
        energies = energy(unit(features.embeddings), self.model.prototypes)
        contrast = energy_loss(energies, row_roles, len(self.model.prototypes))
        if features.rotation_logits is None:
            return {"loss": contrast}
        each = F.cross_entropy(features.rotation_logits, parameters.rotation, reduction="none")
        ordinary = (row_roles != ABNORMAL).float()
        rotation = (each * ordinary).sum() / ordinary.sum().clamp(min=1)
        return {"loss": contrast + rotation, "energy": contrast, "rotation": rotation}

    def _find_prototypes(self, known: NDArray[np.uint8]) -> None:
        network = self.model.network
        found = [embed_upright(network, known, self.setting, turn=turn) for turn in range(self.views.rotations)]
        prototypes = len(self.model.prototypes)
        embeddings = unit(torch.cat(found))
        self.model.prototypes.copy_(spherical_k_means(embeddings, prototypes, seed=self.setting.config.runtime.seed))

    def _keep_the_best(self, held: _Held | None) -> None:
        """Copy the network of the round that has ended, if it tells held-out images better from distorted ones."""
        model = self.model
        if held is not None:
            from sklearn.metrics import roc_auc_score  # imported here, so that scoring new images need not

            scores = [self._scores(model.network, model.prototypes, some) for some in (held.images, held.distorted)]
            auroc = roc_auc_score(np.repeat([True, False], len(held.images)), np.concatenate(scores))
            if auroc < float(model.best_auroc):
                return
            model.best_auroc.fill_(auroc)
        model.best.load_state_dict(model.network.state_dict())
        model.best_prototypes.copy_(model.prototypes)

    def _scores(self, network: Network, prototypes: Tensor, images: ImageSequence) -> Scores:
        network.eval()
        embeddings = embed_crops(network, images, self.views, self.setting.execution, crops=self.crops).embeddings
        scores = energy(unit(embeddings), prototypes, temperature=1.0).sum(dim=1)  # over the turns
        found: Scores = scores.double().cpu().numpy()
        return found
