"""What the tests of comparators share: a split of digits, and the AUROC on its test images."""

import functools
from dataclasses import replace

import numpy as np
import torch
from sklearn.metrics import roc_auc_score

from hscl_fast.comparators.comparator import Setting, VisibleImages
from hscl_fast.comparators.registry import build_comparator
from hscl_fast.config.recipes import load_recipe
from hscl_fast.data.open import in_memory, open_split
from hscl_fast.device import Execution


class NoProgress:
    """Begins anew, and ignores all reports."""

    saved = None

    def advance(self, step, total, state, **figures):
        """Ignore the step."""


@functools.cache
def digits(image_size=8, pollution_ratio=0.1, normal_class=0, labelled_ratio=0.05):
    data = {
        "name": "digits",
        "image_size": image_size,
        "pollution_ratio": pollution_ratio,
        "normal_class": normal_class,
        "labelled_ratio": labelled_ratio,
    }
    return in_memory(open_split(load_recipe("minute", data=data).data))


def given(split):
    return VisibleImages(split.training.images, split.training.roles, split.held_out.images, split.held_out.roles)


def setting(image_size=8, mode="shared", total_steps=20, **sections):
    config = load_recipe("minute", **{"data": {"name": "digits", "image_size": image_size}, **sections})
    return Setting(config, mode, Execution(torch.device("cpu")), image_size, total_steps)


def fitted(name, split, chosen):
    comparator = build_comparator(name, chosen)
    comparator.fit(given(split), NoProgress())
    return comparator


def auroc(comparator, split, every=1):
    """Of every so many test images."""
    return roc_auc_score(~split.test.abnormal[::every], comparator.score(split.test.images[::every]))


def some_of(split, unlabelled=12, labelled=3):
    """A few of the training images of each role."""
    roles = split.training.roles
    rows = [np.flatnonzero(roles == role)[:most] for role, most in ((0, unlabelled), (1, labelled), (-1, labelled))]
    rows = np.concatenate(rows)
    return VisibleImages(split.training.images[rows], roles[rows], split.held_out.images, split.held_out.roles)


def with_seed(chosen, seed):
    config = replace(chosen.config, runtime=replace(chosen.config.runtime, seed=seed))
    return replace(chosen, config=config)
