"""The features of a run's test images, of which Fig. 3 is drawn."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from hscl_kernels import prototype_similarity
from numpy.typing import NDArray

from hscl_fast.data.open import open_split
from hscl_fast.data.types import TestImages, take
from hscl_fast.device import resolve_device, resolve_execution
from hscl_fast.evaluation.metrics import detection_metrics
from hscl_fast.method.embed import embed_images
from hscl_fast.method.network import build_network
from hscl_fast.runs.comparator_run import load_comparator
from hscl_fast.runs.directory import RunDirectory
from hscl_fast.runs.trained import load_scoring

MOST = 2000  # test images in a panel


@dataclass(frozen=True, eq=False)
class Embedded:
    """The features of some test images.

    Attributes
    ----------
    features
        float32 ``[m, F]``.
    classes, normal_class, class_names
        int64 ``[m]``, the class of each image, the normal one, and their names.
    auroc
        In percent, the mean over the anomaly classes; of the images that are drawn where it is measured here.
    """

    features: NDArray[np.float32]
    classes: NDArray[np.int64]
    normal_class: int
    class_names: tuple[str, ...]
    auroc: float | None


def embed_run(directory: RunDirectory, auroc: float | None) -> Embedded | None:
    """Return the features of a trained run; None if its method has none.

    HSCL: the unit embeddings of the upright, un-augmented images. Comparators: what their ``embed`` returns.
    """
    config = directory.load_config()
    split = open_split(directory.recorded_data(config))
    test = _some(split.test)
    device, size = resolve_device(config.runtime.device), split.training.images.shape[1]
    features: NDArray[np.float32] | None
    if config.method.is_hscl:
        scoring, _ = load_scoring(directory, config, size, device)
        features = embed_images(
            scoring.network, test.images, config.augment, scoring.execution, config.evaluate.batch_size
        )
    else:
        scorer, _ = load_comparator(directory, config, size, device)
        features = scorer.comparator.embed(test.images)
    if features is None:
        return None
    return Embedded(features, test.classes, split.normal_class, split.class_names, auroc)


def embed_untrained(directory: RunDirectory) -> Embedded:
    """Return the embeddings of the network that a run of HSCL began with, and the AUROC of Eq. 9 with it."""
    config = directory.load_config()
    split = open_split(directory.recorded_data(config))
    test = _some(split.test)
    device, size = resolve_device(config.runtime.device), split.training.images.shape[1]
    head = config.objective.shift_loss
    network = build_network(config.model, size, rotation_head=head, seed=config.runtime.seed).to(device)
    network = network.to(memory_format=torch.channels_last).eval()
    execution = resolve_execution(device, precision=config.runtime.precision, compile="off")
    features = embed_images(network, test.images, config.augment, execution, config.evaluate.batch_size)
    scores, _ = prototype_similarity(torch.from_numpy(features), network.prototypes.detach().float().cpu())
    found = detection_metrics(scores.numpy(), test.abnormal, test.classes, split.class_names, split.normal_class)
    auroc = None if found.auroc_mean is None else 100 * found.auroc_mean
    return Embedded(features, test.classes, split.normal_class, split.class_names, auroc)


def _some(test: TestImages) -> TestImages:
    """Return at most :data:`MOST` of the test images, the same for all runs on a data set."""
    order = np.random.default_rng(0).permutation(len(test.classes))[:MOST]
    rows = np.sort(order)
    names = tuple(test.names[row] for row in rows)
    return TestImages(take(test.images, rows), test.abnormal[rows], test.classes[rows], names)
