"""A network that tells apart fixed transformations of images, as GOAD and E3Outlier train one."""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor

from hscl_fast.comparators.blocks.classifier import Classified, Classifier, make_classifier
from hscl_fast.comparators.blocks.preactivation import wide_resnet
from hscl_fast.comparators.blocks.transformations import Map, Transformations
from hscl_fast.comparators.comparator import Setting
from hscl_fast.device import encoder_precision
from hscl_fast.method.image_batches import ImageSequence, on_device, slices

_ROWS = 2000  # views that go through the network at once


class TransformationClassifier:
    """The classifier of M transformations, a WRN-10-4 in the mode ``original``.

    Parameters
    ----------
    setting
        Network, device and precision.
    maps
        The M transformations.

    Attributes
    ----------
    transformations
        They, for images of the setting's size.
    model
        The classifier.
    """

    def __init__(self, setting: Setting, maps: list[Map]) -> None:
        self.execution = setting.execution
        self.transformations = Transformations(maps, setting.image_size, setting.execution.device)
        self.model: Classifier = make_classifier(setting, len(maps), lambda: wide_resnet(10, 4))

    def classify(self, images: Tensor, place: Tensor, which: Tensor) -> Classified:
        """Return features and logits of the images ``place [rows]`` under the transformations ``which [rows]``."""
        mean, std = self.model.statistics
        views = self.transformations.views(images, place, which, mean=mean, std=std)
        with encoder_precision(self.execution.device, self.execution.precision):
            classified: Classified = self.model(views.contiguous(memory_format=torch.channels_last))
        return classified

    @torch.no_grad()
    def classify_all(self, images: ImageSequence) -> Iterator[Classified]:
        """Yield features ``[B, M, F]`` and logits ``[B, M, M]`` of batches of images under all transformations."""
        self.model.eval()
        count = len(self.transformations)
        for batch in on_device(slices(images, max(1, _ROWS // count)), self.execution.device):
            place = torch.arange(len(batch), device=batch.device).repeat_interleave(count)
            which = torch.arange(count, device=batch.device).repeat(len(batch))
            features, logits = self.classify(batch, place, which)
            yield Classified(features.view(len(batch), count, -1), logits.view(len(batch), count, count))
