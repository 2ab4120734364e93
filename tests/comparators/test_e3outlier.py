import functools
import math

import pytest
import torch
from comparators.comparing import auroc, digits, fitted, setting

from hscl_fast.comparators.e3outlier import negative_entropy

SPLIT = functools.partial(digits, normal_class=7)  # which is the same in no other turn or flip


@functools.cache
def trained():
    return fitted("e3outlier", SPLIT(), setting(total_steps=60, optim={"batch_size": 16}))


def test_e3outlier_tells_digits_apart():
    assert auroc(trained(), SPLIT(), every=4) > 0.75


def test_the_network_knows_the_transformations_of_normal_images():
    test = SPLIT().test
    logits = torch.cat([some.logits for some in trained().classifier.classify_all(test.images[~test.abnormal])])
    assert (logits.argmax(dim=2) == torch.arange(8)).float().mean() > 0.5  # 1/8 by chance


def test_the_score_is_the_negative_entropy():
    logits = torch.tensor([[0.0, 0.0, 0.0, 0.0], [50.0, 0.0, 0.0, 0.0], [0.0, 0.0, -60.0, -60.0]])
    assert negative_entropy(logits).tolist() == pytest.approx([-math.log(4), 0, -math.log(2)], abs=1e-6)
