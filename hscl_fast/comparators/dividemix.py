"""DivideMix (Li et al., ICLR 2020): the contaminated set as a classification with wrong labels."""

from __future__ import annotations

from typing import ClassVar

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor, nn

from hscl_fast.comparators.blocks.batches import Batches
from hscl_fast.comparators.blocks.budget import affordable_steps, hscl_views, within
from hscl_fast.comparators.blocks.classifier import Classifier, embed_upright, make_classifier
from hscl_fast.comparators.blocks.kept import kept, restore
from hscl_fast.comparators.blocks.loop import Loop, Stage, sgd
from hscl_fast.comparators.blocks.normal_or_abnormal import (
    ABNORMAL_CLASS,
    CLASSES,
    NORMAL_CLASS,
    classify,
    render,
)
from hscl_fast.comparators.blocks.preactivation import preactivation_resnet18
from hscl_fast.comparators.blocks.rates import milestones
from hscl_fast.comparators.blocks.run_optimizer import run_optimizer, run_rate, trained
from hscl_fast.comparators.blocks.strong_views import strong_views
from hscl_fast.comparators.blocks.upright import run_upright
from hscl_fast.comparators.blocks.weak_views import draw_weak_views
from hscl_fast.comparators.comparator import Comparator, Progress, Scores, Setting, State, VisibleImages
from hscl_fast.data.types import ABNORMAL, UNLABELLED
from hscl_fast.errors import UsageError
from hscl_fast.method.image_batches import ImageSequence

CLEAN = 0.5  # posterior from which on a label is believed
SHARPNESS = 2.0  # the power to which guessed labels are raised
MIXUP = 4.0  # of the Beta distribution of MixUp's weights
VIEWS = 2
EPOCHS, WARM_EPOCHS, LOWER_AT, RATE, WEIGHT_DECAY = 300, 10, 150, 0.02, 5e-4  # of the publication
SHARED_WARM_SHARE = 0.2  # of the views


class _Model(nn.Module):
    """Two classifiers, and what each believes of every training image's label."""

    def __init__(self, setting: Setting) -> None:
        super().__init__()
        self.classifiers = nn.ModuleList(
            make_classifier(setting, CLASSES, preactivation_resnet18, place=place) for place in range(2)
        )
        self.clean: Tensor
        self.register_buffer("clean", torch.ones(2, 0, dtype=torch.float64, device=setting.execution.device))

    def pair(self) -> tuple[Classifier, Classifier]:
        """Return both."""
        first, second = self.classifiers
        assert isinstance(first, Classifier)
        assert isinstance(second, Classifier)
        return first, second


class DivideMixComparator(Comparator):
    """Two classifiers of normal and abnormal images, each of which finds the wrong labels for the other.

    Unlabelled images are labelled normal, some of them wrongly; labelled anomalies are abnormal. After a warm-up, a
    mixture of two Gaussians is fitted, at the beginning of every epoch, to the losses of one classifier: images with
    small ones keep their labels (in part) when the other is trained, and the labels of the others are guessed. Labelled
    images keep theirs in any case, which the publication, without certain labels, does not do.

    The loss on images with guessed labels has weight 0 in the publication where up to 20 % of the labels are wrong, and
    is left out here: they are mixed into the others, and take part in the prior. That one expects as many anomalies as
    normal images, which is kept although it is not so here.

    The score is the mean probability of normal.
    """

    strong: ClassVar[bool] = False  # whether the mixture is trained on strong views, as in Aug-LNL
    batch: ClassVar[int] = 64  # of the publication

    def __init__(self, setting: Setting) -> None:
        super().__init__(setting)
        self.model = _Model(setting)

    def fit(self, given: VisibleImages, progress: Progress) -> None:
        """Train.

        Raises
        ------
        UsageError
            There are no labelled anomalies.
        """
        if not (given.roles == ABNORMAL).any():
            raise UsageError(
                "The training set has no labelled anomalies, so there is nothing to classify. Label some, with "
                "--data.labels or a higher --data.labelled_ratio, or use another --method."
            )
        self.model.clean = torch.ones(2, len(given.roles), dtype=torch.float64, device=self.model.clean.device)
        Loop(self.model, seed=self.setting.config.runtime.seed, progress=progress).run(self._stages(given))

    def score(self, images: ImageSequence) -> Scores:
        """Return the mean probability of normal."""
        normal = [
            F.softmax(self._logits(model, images).double(), dim=1)[:, NORMAL_CLASS] for model in self.model.pair()
        ]
        scores: Scores = torch.stack(normal).mean(dim=0).cpu().numpy()
        return scores

    def state(self) -> State:
        """Return both networks."""
        return kept("classifiers", self.model.classifiers)

    def load(self, state: State) -> None:
        """Take them."""
        restore("classifiers", self.model.classifiers, state)

    def embed(self, images: ImageSequence) -> NDArray[np.float32]:
        """Return the features of both networks side by side, ``[n, 2 F]``, of the upright images."""
        return np.concatenate([embed_upright(model, images, self.setting) for model in self.model.pair()], axis=1)

    def _stages(self, given: VisibleImages) -> list[Stage]:
        setting, count, device = self.setting, len(given.roles), self.setting.execution.device
        images = torch.from_numpy(given.images).to(device)
        roles = torch.from_numpy(given.roles).to(device)
        labels = torch.where(roles == ABNORMAL, ABNORMAL_CLASS, NORMAL_CLASS)
        if setting.mode == "shared":
            # Of both networks; views that labels are guessed from come without a gradient and are not counted.
            views_per_image = 2 * VIEWS * 2
            batch = min(max(2, hscl_views(setting, count) // views_per_image), count)
            warm = max(1, round(SHARED_WARM_SHARE * affordable_steps(setting, count, 4 * batch)))
            steps = max(1, round((1 - SHARED_WARM_SHARE) * affordable_steps(setting, count, views_per_image * batch)))
            encoders = nn.ModuleList(model.encoder for model in self.model.pair())
            optimizer = run_optimizer(setting, encoders)
            rates = run_rate(setting), run_rate(setting)
        else:
            batch = min(self.batch, count)
            epoch = -(-count // batch)
            most = affordable_steps(setting, count, 2 * VIEWS * 2 * batch)
            warm, steps = within(most, WARM_EPOCHS * epoch, (EPOCHS - WARM_EPOCHS) * epoch)
            optimizer = sgd(RATE, weight_decay=WEIGHT_DECAY)
            rates = milestones(), milestones((LOWER_AT - WARM_EPOCHS) / (EPOCHS - WARM_EPOCHS))
        every = torch.arange(count, device=device)
        warming = Batches(every, min(2 * batch, count), seed=setting.config.runtime.seed, name="warm-up")
        epoch = max(1, min(count // batch, steps // 5))  # at least five divisions, however short the training

        def warm_up(step: int) -> dict[str, Tensor]:
            indices = warming.at(step)
            parts = [
                self._warm_up_loss(model, images, indices, labels[indices], step * 2 + place)
                for place, model in enumerate(self.model.pair())
            ]
            return {"loss": torch.stack(parts).sum()}

        def mix(step: int) -> dict[str, Tensor]:
            if step % epoch == 0:
                self._divide(given.images, labels, roles)
            parts = [self._mixed_loss(place, images, labels, batch, step) for place in range(2)]
            clean = (self.model.clean > CLEAN).double().mean()
            return {"loss": torch.stack(parts).sum(), "believed": clean}

        parameters = trained(self.model)
        return [
            Stage("warm-up", warm, warm_up, parameters, optimizer, rates[0]),
            Stage("training", steps, mix, parameters, optimizer, rates[1]),
        ]

    def _warm_up_loss(self, model: Classifier, images: Tensor, indices: Tensor, labels: Tensor, draw: int) -> Tensor:
        """Return the cross-entropy plus the mean of ``sum p log p``: confident networks would learn wrong labels."""
        model.train()
        (views,) = self._views(model, images, indices, draw, views=1, strong=False)
        logits = classify(self.setting, model, views).logits
        confidence = (F.softmax(logits, dim=1) * F.log_softmax(logits, dim=1)).sum(dim=1).mean()
        return F.cross_entropy(logits, labels) + confidence

    def _divide(self, images: NDArray[np.uint8], labels: Tensor, roles: Tensor) -> None:
        """Note, for each network, how likely the other one's losses make it that each label is right."""
        for place, other in enumerate(reversed(self.model.pair())):
            losses = F.cross_entropy(self._logits(other, images), labels, reduction="none")
            likely = small_loss_probability(losses, seed=self.setting.config.runtime.seed)
            self.model.clean[place] = torch.where(roles == UNLABELLED, likely, 1.0)

    def _mixed_loss(self, place: int, images: Tensor, labels: Tensor, batch: int, step: int) -> Tensor:
        """Return one network's loss: MixUp of images whose labels are believed and of images with guessed labels."""
        model, other = self.model.pair()[:: 1 - 2 * place]
        model.train()
        other.eval()
        believed = self.model.clean[place] > CLEAN
        views, targets, kept_rows = [], [], 0
        for name, pool in (("believed", believed), ("guessed", ~believed)):
            rows = pool.nonzero()[:, 0]
            if not len(rows):
                continue
            seed = self.setting.config.runtime.seed
            indices = Batches(rows, min(batch, len(images)), seed=seed, name=f"{name} {place}").at(step)
            weak = self._views(model, images, indices, 2 * step + place, views=VIEWS, strong=False)
            target = self._guess(model, other if name == "guessed" else None, weak)
            if name == "believed":
                weight = self.model.clean[place, indices].float()[:, None]
                target = weight * F.one_hot(labels[indices], CLASSES) + (1 - weight) * target
                kept_rows = VIEWS * len(indices)
            target = sharpen(target)
            shown = weak
            if self.strong:
                shown = self._views(model, images, indices, 2 * step + place, views=VIEWS, strong=True)
            views += shown
            targets += [target] * VIEWS
        return self._mix_up(model, torch.cat(views), torch.cat(targets), kept_rows)

    @torch.no_grad()
    def _guess(self, model: Classifier, other: Classifier | None, views: list[Tensor]) -> Tensor:
        """Return the mean prediction ``[n, 2]`` of one network, or of both, over the views of each image."""
        models = [model] if other is None else [model, other]
        logits = [classify(self.setting, each, torch.cat(views)).logits for each in models]
        return F.softmax(torch.stack(logits), dim=2).mean(dim=0).view(len(views), -1, CLASSES).mean(dim=0)

    def _mix_up(self, model: Classifier, views: Tensor, targets: Tensor, believed: int) -> Tensor:
        """Return the cross-entropy of mixed views, those of which the first has a believed label, and the prior's."""
        weight = torch.distributions.Beta(MIXUP, MIXUP).sample().item()
        weight = max(weight, 1 - weight)
        order = torch.randperm(len(views)).to(views.device)
        logits = classify(self.setting, model, torch.lerp(views[order], views, weight)).logits
        mixed = torch.lerp(targets[order], targets, weight)
        prediction = F.softmax(logits, dim=1).mean(dim=0)
        prior = torch.full_like(prediction, 1 / CLASSES)
        loss = (prior * (prior / prediction).log()).sum()
        if believed:
            loss = loss - (mixed[:believed] * F.log_softmax(logits[:believed], dim=1)).sum(dim=1).mean()
        return loss

    def _views(
        self, model: Classifier, images: Tensor, indices: Tensor, draw: int, *, views: int, strong: bool
    ) -> list[Tensor]:
        """Return ``views`` different views ``[B, 3, H, W]`` of the images ``indices``."""
        seed = torch.tensor(self.setting.config.runtime.seed, device=images.device)
        step, chosen = torch.tensor(draw, device=images.device), images.index_select(0, indices)
        if strong:
            pixels = strong_views(chosen, indices, policy="autoaugment", seed=seed, step=step, views=views)
            rendered = render(self.setting, model, pixels)
        else:
            parameters = draw_weak_views(indices, seed=seed, step=step, side=images.shape[1], views=views)
            rendered = render(self.setting, model, chosen, parameters)
        return [*rendered.split(len(indices))]

    def _logits(self, model: Classifier, images: ImageSequence) -> Tensor:
        model.eval()
        batch = self.setting.config.evaluate.batch_size
        return run_upright(
            lambda views: model(views).logits, images, self.setting.execution, model.statistics, batch=batch
        )


def small_loss_probability(losses: Tensor, *, seed: int) -> Tensor:
    """Return the probability, float64 ``[n]``, that each loss is of the lower one of two Gaussians fitted to them.

    Losses that are all equal are all small.
    """
    from sklearn.mixture import GaussianMixture  # imported here, so that scoring new images need not

    values = losses.double().cpu().numpy()
    spread = values.max() - values.min()
    if spread == 0:
        return torch.ones_like(losses, dtype=torch.float64)
    scaled = ((values - values.min()) / spread)[:, None]
    mixture = GaussianMixture(2, max_iter=10, tol=1e-2, reg_covar=5e-4, random_state=seed % 2**32).fit(scaled)
    return torch.from_numpy(mixture.predict_proba(scaled)[:, mixture.means_.argmin()]).to(losses.device)


def sharpen(probabilities: Tensor) -> Tensor:
    """Return squared probabilities ``[n, classes]``, scaled to sum to 1."""
    powers = probabilities**SHARPNESS
    return powers / powers.sum(dim=1, keepdim=True)
