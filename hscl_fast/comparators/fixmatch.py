"""FixMatch (Sohn et al., NeurIPS 2020), with the two classes normal and abnormal."""

from __future__ import annotations

import copy
import math

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor, nn

from hscl_fast.comparators.blocks.batches import Batches
from hscl_fast.comparators.blocks.budget import affordable_steps, hscl_views
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
from hscl_fast.comparators.blocks.preactivation import wide_resnet
from hscl_fast.comparators.blocks.run_optimizer import run_optimizer, run_rate, trained
from hscl_fast.comparators.blocks.strong_views import strong_views
from hscl_fast.comparators.blocks.upright import run_upright
from hscl_fast.comparators.blocks.weak_views import draw_weak_views
from hscl_fast.comparators.comparator import Comparator, Progress, Scores, Setting, State, VisibleImages
from hscl_fast.data.types import ABNORMAL, NORMAL, UNLABELLED
from hscl_fast.errors import UsageError
from hscl_fast.method.image_batches import ImageSequence

THRESHOLD = 0.95  # of the probability from which on a pseudo-label counts
UNLABELLED_PER_LABELLED = 7
EMA_DECAY = 0.999
_BATCH, _RATE, _WEIGHT_DECAY = 64, 0.03, 5e-4  # of the publication
_STEPS = 50_000  # of the mode original, where the publication has 2^20


class _Model(nn.Module):
    """The classifier that is trained, and the moving average of its weights, which scores."""

    def __init__(self, classifier: Classifier) -> None:
        super().__init__()
        self.trained = classifier
        self.average = copy.deepcopy(classifier).requires_grad_(False)
        self.updates: Tensor
        self.register_buffer("updates", torch.zeros((), device=classifier.head.weight.device))

    @torch.no_grad()
    def follow(self) -> None:
        """Move the average towards the trained weights; early averages are short, so that a short training counts."""
        self.updates += 1
        decay = torch.clamp((1 + self.updates) / (10 + self.updates), max=EMA_DECAY)
        for average, weights in zip(self.average.parameters(), self.trained.parameters(), strict=True):
            average.lerp_(weights, 1 - decay)
        for kept_buffer, buffer in zip(self.average.buffers(), self.trained.buffers(), strict=True):
            kept_buffer.copy_(buffer)


class FixMatchComparator(Comparator):
    """A classifier of normal and abnormal images that learns from its own confident predictions.

    A step has labelled images, half of them normal and half abnormal, and seven times as many unlabelled ones. The
    prediction of an unlabelled image's weak view, where it is certain enough, is the label of its strong view.

    The score is the log-odds of normal, which order images as the probability does.
    """

    def __init__(self, setting: Setting) -> None:
        super().__init__(setting)
        self.model = _Model(make_classifier(setting, CLASSES, lambda: wide_resnet(28, 2)))

    def fit(self, given: VisibleImages, progress: Progress) -> None:
        """Train.

        Raises
        ------
        UsageError
            There are no labelled normals, or no labelled anomalies.
        """
        for role, name in ((NORMAL, "normal images"), (ABNORMAL, "anomalies")):
            if not (given.roles == role).any():
                raise UsageError(
                    f"The training set has no labelled {name}, but FixMatch learns from both labels. Label some, with "
                    "--data.labels or a higher --data.labelled_ratio, or use another --method."
                )
        Loop(self.model, seed=self.setting.config.runtime.seed, progress=progress).run([self._stage(given)])

    def score(self, images: ImageSequence) -> Scores:
        """Return the log-odds of normal."""
        model = self.model.average.eval()
        batch = self.setting.config.evaluate.batch_size
        logits = run_upright(
            lambda views: model(views).logits, images, self.setting.execution, model.statistics, batch=batch
        )
        scores: Scores = (logits[:, NORMAL_CLASS] - logits[:, ABNORMAL_CLASS]).double().cpu().numpy()
        return scores

    def state(self) -> State:
        """Return the averaged network."""
        return kept("average", self.model.average)

    def load(self, state: State) -> None:
        """Take it."""
        restore("average", self.model.average, state)

    def embed(self, images: ImageSequence) -> NDArray[np.float32]:
        """Return the features ``[n, F]`` before the last layer, of the upright images."""
        return embed_upright(self.model.average, images, self.setting)

    def _stage(self, given: VisibleImages) -> Stage:
        setting, model = self.setting, self.model.trained
        device, seed = setting.execution.device, setting.config.runtime.seed
        images, count = torch.from_numpy(given.images).to(device), len(given.roles)
        views_per_labelled = 1 + 2 * UNLABELLED_PER_LABELLED
        if setting.mode == "shared":
            half = max(1, round(hscl_views(setting, count) / views_per_labelled / 2))
            steps = affordable_steps(setting, count, 2 * half * views_per_labelled)
            optimizer, rate = run_optimizer(setting, model.encoder), run_rate(setting)
        else:
            half = _BATCH // 2
            steps = min(_STEPS, affordable_steps(setting, count, 2 * half * views_per_labelled))
            optimizer, rate = sgd(_RATE, nesterov=True, weight_decay=_WEIGHT_DECAY), _published_rate

        def batches(role: int, size: int, name: str) -> Batches | None:
            rows = torch.from_numpy(np.flatnonzero(given.roles == role)).to(device)
            return Batches(rows, size, seed=seed, name=name) if len(rows) else None

        normal, abnormal = batches(NORMAL, half, "normal"), batches(ABNORMAL, half, "abnormal")
        unlabelled = batches(UNLABELLED, 2 * half * UNLABELLED_PER_LABELLED, "unlabelled")
        assert normal is not None
        assert abnormal is not None
        targets = torch.tensor([NORMAL_CLASS, ABNORMAL_CLASS], device=device).repeat_interleave(half)

        def loss(step: int) -> dict[str, Tensor]:
            model.train()
            labelled = torch.cat((normal.at(step), abnormal.at(step)))
            guessed = unlabelled.at(step) if unlabelled is not None else labelled[:0]
            return self._losses(images, labelled, targets, guessed, step)

        return Stage("training", steps, loss, trained(model), optimizer, rate, after=self.model.follow)

    def _losses(
        self, images: Tensor, labelled: Tensor, targets: Tensor, unlabelled: Tensor, step: int
    ) -> dict[str, Tensor]:
        """Return the losses of one batch, whose views go through the network together."""
        setting, model = self.setting, self.model.trained
        seed = torch.tensor(setting.config.runtime.seed, device=images.device)
        number = torch.tensor(step, device=images.device)
        indices = torch.cat((labelled, unlabelled))
        batch = images.index_select(0, indices)
        weak_views = draw_weak_views(indices, seed=seed, step=number, side=images.shape[1])
        views = [render(setting, model, batch, weak_views)]
        if len(unlabelled):
            own = batch[len(labelled) :]
            strong = strong_views(own, unlabelled, policy="randaugment", seed=seed, step=number)
            views.append(render(setting, model, strong))
        logits = classify(setting, model, torch.cat(views)).logits
        known, weak, strong_logits = logits.split((len(labelled), len(unlabelled), len(logits) - len(indices)))
        supervised = F.cross_entropy(known, targets)
        if not len(unlabelled):
            return {"loss": supervised}
        consistency, share = pseudo_label_loss(weak.detach(), strong_logits)
        return {"loss": supervised + consistency, "labelled": supervised, "pseudo": consistency, "confident": share}


def pseudo_label_loss(weak: Tensor, strong: Tensor, threshold: float = THRESHOLD) -> tuple[Tensor, Tensor]:
    """Return the cross-entropy of strong views with the classes that are predicted for weak ones, and their share.

    Predictions with a probability below ``threshold`` count as 0. Both are float32 scalars.

    Parameters
    ----------
    weak, strong
        Logits ``[n, classes]`` of the two views of the same images; ``weak`` needs no gradient.
    """
    probability, label = F.softmax(weak, dim=1).max(dim=1)
    confident = (probability >= threshold).float()
    return (F.cross_entropy(strong, label, reduction="none") * confident).mean(), confident.mean()


def _published_rate(step: int, steps: int) -> float:
    return math.cos(7 * math.pi * step / (16 * steps))
