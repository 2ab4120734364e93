"""The AUROC on held-out labelled images, by which training chooses its best checkpoint."""

from __future__ import annotations

from collections.abc import Callable

from hscl_fast.config.sections import Config
from hscl_fast.data.split.split import Split
from hscl_fast.data.types import ABNORMAL, NORMAL, take
from hscl_fast.device import Execution
from hscl_fast.evaluation.metrics import auroc
from hscl_fast.method.encode import CachedFeatures
from hscl_fast.method.image_batches import ImageSequence
from hscl_fast.method.network import Network
from hscl_fast.method.scoring.scoring import Scoring


def held_out_auroc(
    config: Config, split: Split, execution: Execution, cached: CachedFeatures | None = None
) -> Callable[[Network], float | None] | None:
    """Return a function from a network in evaluation mode to its AUROC on a split's held-out images.

    Parameters
    ----------
    config, split, execution
        The run's configuration and images; device and precision.
    cached
        What a frozen encoder has made of the images already; None if it has not.

    Returns
    -------
    Callable or None
        None where normals or anomalies are missing among the held-out images.
    """
    held_out, training = split.held_out, split.training
    if not ((held_out.roles == NORMAL).any() and (held_out.roles == ABNORMAL).any()):
        return None
    # Eq. 9 takes one pass over the held-out images only, and ranks checkpoints as well as a score with more of them.
    name = "paper" if config.objective.lambda_prototype > 0 else "knn"
    is_known = training.roles >= 0
    known: ImageSequence = take(training.images, is_known)
    held_out_images: ImageSequence = held_out.images
    if cached is not None:
        known, held_out_images = cached.of_training(known, is_known), cached.of_held_out(held_out_images)

    def validate(network: Network) -> float | None:
        scoring = Scoring(name, network, execution, config.evaluate.batch_size, config.augment)
        scoring.calibrate(known)
        return auroc(scoring.score(held_out_images), held_out.roles == ABNORMAL)

    return validate
