"""What the tests of comparators share: a split of digits, and the AUROC on its test images."""

import functools
from dataclasses import replace

import torch
from sklearn.metrics import roc_auc_score

from hscl_fast.comparators.comparator import NoProgress, Setting, VisibleImages
from hscl_fast.comparators.registry import COMPARATORS
from hscl_fast.config.recipes import load_recipe
from hscl_fast.data.open import in_memory, open_split
from hscl_fast.device import Execution


@functools.cache
def digits(image_size=8, pollution_ratio=0.1):
    """Digits with class 0 as the normal one."""
    config = load_recipe(
        "minute", data={"name": "digits", "image_size": image_size, "pollution_ratio": pollution_ratio}
    )
    return in_memory(open_split(config.data))


def given(split):
    return VisibleImages(split.training.images, split.training.roles, split.held_out.images, split.held_out.roles)


def setting(image_size=8, mode="shared", total_steps=20, **sections):
    config = load_recipe("minute", **{"data": {"name": "digits", "image_size": image_size}, **sections})
    return Setting(config, mode, Execution(torch.device("cpu")), image_size, total_steps)


def fitted(name, split, chosen):
    comparator = COMPARATORS[name].build(chosen)
    comparator.fit(given(split), NoProgress())
    return comparator


def auroc(comparator, split):
    return roc_auc_score(~split.test.abnormal, comparator.score(split.test.images))


def with_seed(chosen, seed):
    config = replace(chosen.config, runtime=replace(chosen.config.runtime, seed=seed))
    return replace(chosen, config=config)
