"""What the classifiers of normal (class 0) and abnormal (class 1) share: rendering views, and the classes."""

from __future__ import annotations

import torch
from hscl_kernels import ViewParameters, augment_views
from torch import Tensor

from hscl_fast.comparators.blocks.classifier import Classified, Classifier
from hscl_fast.comparators.comparator import Setting
from hscl_fast.device import encoder_precision

NORMAL_CLASS, ABNORMAL_CLASS = 0, 1
CLASSES = 2


def render(setting: Setting, model: Classifier, images: Tensor, parameters: ViewParameters | None = None) -> Tensor:
    """Return views ``[rows, 3, H, W]`` of images uint8 ``[B, H, W, 3]``; without parameters the images as they are."""
    if parameters is None:
        parameters = ViewParameters.identity(torch.arange(len(images), device=images.device))
    mean, std = model.statistics
    backend = setting.config.augment.backend
    return augment_views(images, parameters, dtype=setting.execution.precision, mean=mean, std=std, backend=backend)


def classify(setting: Setting, model: Classifier, views: Tensor) -> Classified:
    """Return features and logits of views in the setting's precision."""
    with encoder_precision(setting.execution.device, setting.execution.precision):
        classified: Classified = model(views)
    return classified
