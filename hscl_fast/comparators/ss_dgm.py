"""SS-DGM: the semi-supervised deep generative model M2 of Kingma et al. (NeurIPS 2014), with two classes."""

from __future__ import annotations

import math
from collections.abc import Iterator
from itertools import pairwise

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

from hscl_fast.comparators.blocks.batches import Batches
from hscl_fast.comparators.blocks.budget import affordable_steps, within
from hscl_fast.comparators.blocks.kept import kept, part_of, restore
from hscl_fast.comparators.blocks.lenet import LeNet, are_grey, network_pixels
from hscl_fast.comparators.blocks.loop import Loop, Stage, adam
from hscl_fast.comparators.comparator import Comparator, Progress, Scores, State, VisibleImages
from hscl_fast.data.types import ABNORMAL, UNLABELLED
from hscl_fast.method.image_batches import ImageSequence, on_device, slices

BATCH, EPOCHS, LEARNING_RATE, WEIGHT_DECAY = 128, 50, 1e-3, 1e-6
CLASSIFIER_WEIGHT = 0.1
CLASSES = 2  # normal, abnormal
_MODEL, _GREY = "model", "grey"


class M2(nn.Module):
    """The classifier q(y|x), the encoder q(z|x, y) and the decoder p(x|z, y).

    The classifier is the small network of Deep SVDD with a linear layer to two classes. Encoder and decoder are
    perceptrons with hidden widths 512 and 256 and a latent z of 128 dimensions; for grey images 256, 128 and 64.

    Parameters
    ----------
    image_size
        Side of the images in pixels.
    grey
        Whether they are grey.
    """

    def __init__(self, image_size: int, *, grey: bool) -> None:
        super().__init__()
        network = LeNet(image_size, grey=grey)
        pixels = network.channels * network.sides[0] ** 2
        latent, hidden = (64, (256, 128)) if grey else (128, (512, 256))
        self.features = network
        self.classifier = nn.Linear(network.features, CLASSES)
        self.encoder = _perceptron(pixels + CLASSES, *hidden, 2 * latent)
        self.decoder = _perceptron(latent + CLASSES, *hidden[::-1], pixels)

    def log_classes(self, pixels: Tensor) -> Tensor:
        """Return log q(y|x), ``[n, 2]``, of pixels ``[n, C, S, S]``."""
        return self.classifier(self.features(pixels)).log_softmax(dim=1)

    def bound(self, pixels: Tensor, labels: Tensor) -> Tensor:
        """Return ``L(x, y) = E_q log p(x|z, y) + log 1/2 - KL(q(z|x, y) || N(0, I))``, ``[n]``, with one sample of z.

        It is at most log p(x, y), in expectation.

        Parameters
        ----------
        pixels
            ``[n, C, S, S]`` in [0, 1].
        labels
            int64 ``[n]``, 0 for normal and 1 for abnormal.
        """
        x, y = pixels.flatten(1), functional.one_hot(labels, CLASSES).to(pixels)
        mean, log_variance = self.encoder(torch.cat((x, y), dim=1)).chunk(2, dim=1)
        z = mean + (log_variance / 2).exp() * torch.randn_like(mean)
        logits = self.decoder(torch.cat((z, y), dim=1))
        likelihood = -functional.binary_cross_entropy_with_logits(logits, x, reduction="none").sum(dim=1)
        divergence = (mean.square() + log_variance.exp() - 1 - log_variance).sum(dim=1) / 2
        return likelihood - math.log(CLASSES) - divergence

    def unlabelled_bound(self, pixels: Tensor) -> Tensor:
        """Return ``U(x) = sum_y q(y|x) L(x, y) + H(q(y|x))``, ``[n]``, which is at most log p(x), in expectation."""
        log_q = self.log_classes(pixels)
        labels = torch.arange(CLASSES, device=pixels.device)
        bounds = torch.stack([self.bound(pixels, label.expand(len(pixels))) for label in labels], dim=1)
        return (log_q.exp() * (bounds - log_q)).sum(dim=1)


class SSDGMComparator(Comparator):
    """The bound of M2 on all images, with 0.1 times the cross-entropy of the labelled ones.

    It has one mode, that of its publication: Adam at a rate of 1e-3 for 50 epochs of batches of 128 images, shortened
    where that would be more views than HSCL's. Both kinds of labels are used, each as its class. Scores are the logit
    of q(normal|x), which ranks as q(normal|x) does.
    """

    def fit(self, given: VisibleImages, progress: Progress) -> None:
        """Train the three networks together."""
        device, seed = self.setting.execution.device, self.setting.config.runtime.seed
        images = torch.from_numpy(np.ascontiguousarray(given.images))
        roles = torch.from_numpy(given.roles)
        self._build(grey=are_grey(given.images))
        batches = Batches(torch.arange(len(roles)), min(BATCH, len(roles)), seed=seed, name="m2")
        (steps,) = within(affordable_steps(self.setting, len(roles), batches.size), EPOCHS * batches.per_pass)

        def loss(step: int) -> dict[str, Tensor]:
            rows = batches.at(step)
            self._model.train()
            return losses(self._model, self._pixels(images[rows].to(device)), roles[rows].to(device))

        optimizer = adam(LEARNING_RATE, weight_decay=WEIGHT_DECAY)
        stage = Stage("m2", steps, loss, [*self._model.parameters()], optimizer)
        Loop(self._model, seed=seed, progress=progress).run([stage])

    @torch.no_grad()
    def score(self, images: ImageSequence) -> Scores:
        """Return log q(normal|x) - log q(abnormal|x)."""
        self._model.eval()
        found = [self._model.log_classes(self._pixels(batch)) for batch in self._batches(images)]
        log_q = torch.cat(found).double()
        scores: Scores = (log_q[:, 0] - log_q[:, 1]).cpu().numpy()
        return scores

    @torch.no_grad()
    def embed(self, images: ImageSequence) -> NDArray[np.float32]:
        """Return the classifier's features."""
        self._model.eval()
        found = [self._model.features(self._pixels(batch)) for batch in self._batches(images)]
        features: NDArray[np.float32] = torch.cat(found).cpu().numpy()
        return features

    def state(self) -> State:
        """Return the three networks."""
        return {_GREY: torch.tensor(self._grey), **kept(_MODEL, self._model)}

    def load(self, state: State) -> None:
        """Take them."""
        self._build(grey=bool(part_of(state, _GREY)))
        restore(_MODEL, self._model, state)

    def _build(self, *, grey: bool) -> None:
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(self.setting.config.runtime.seed)
            model = M2(self.setting.image_size, grey=grey)
        self._grey, self._model = grey, model.to(self.setting.execution.device)

    def _pixels(self, images: Tensor) -> Tensor:
        return network_pixels(images, grey=self._grey)

    def _batches(self, images: ImageSequence) -> Iterator[Tensor]:
        return on_device(slices(images, self.setting.config.evaluate.batch_size), self.setting.execution.device)


def losses(model: M2, pixels: Tensor, roles: Tensor) -> dict[str, Tensor]:
    """Return minus the mean bound of each kind of images, and the classifier's cross-entropy on the labelled ones.

    A batch with fewer than two labelled images leaves their terms out: the classifier's batch normalisation needs two.
    """
    labelled = roles != UNLABELLED
    zero = model.classifier.bias.sum() * 0
    unlabelled_loss = -model.unlabelled_bound(pixels[~labelled]).mean() if (~labelled).sum() > 1 else zero
    labelled_loss = cross_entropy = zero
    if labelled.sum() > 1:
        labels = (roles[labelled] == ABNORMAL).long()
        labelled_loss = -model.bound(pixels[labelled], labels).mean()
        cross_entropy = functional.nll_loss(model.log_classes(pixels[labelled]), labels)
    return {
        "loss": unlabelled_loss + labelled_loss + CLASSIFIER_WEIGHT * cross_entropy,
        "unlabelled": unlabelled_loss,
        "labelled": labelled_loss,
        "cross_entropy": cross_entropy,
    }


def _perceptron(*widths: int) -> nn.Sequential:
    layers: list[nn.Module] = []
    for inputs, outputs in pairwise(widths):
        layers += [nn.Linear(inputs, outputs), nn.ReLU()]
    return nn.Sequential(*layers[:-1])
