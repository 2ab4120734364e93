import functools
import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from comparators.comparing import NoProgress, auroc, digits, fitted, given, setting
from comparators.interrupting import GoOn, StopAt

from hscl_fast.comparators.registry import build_comparator
from hscl_fast.comparators.ss_dgm import M2, losses
from hscl_fast.interrupt import Interrupted


@functools.cache
def trained(steps=100):
    return fitted("ss_dgm", digits(), setting(total_steps=steps))


def model_of(images):
    torch.manual_seed(0)
    model = M2(8, grey=True).eval()
    return model, torch.rand(images, 1, 8, 8)


def test_digits_are_told_apart():
    assert auroc(trained(), digits(), every=3) > 0.95


def test_labels_decide():
    """With the labels exchanged, scores are exchanged: what tells the classes apart is learned from the labels."""
    images = given(digits())
    other = build_comparator("ss_dgm", setting(total_steps=100))
    other.fit(replace(images, roles=-images.roles), NoProgress())
    assert auroc(other, digits(), every=3) < 0.2


def test_the_bound_is_below_the_likelihood():
    """log p(x) of a model whose decoder ignores z, so that it is known."""
    model, pixels = model_of(4)
    for layer in (model.decoder[0], model.classifier, model.features.head[0]):
        torch.nn.init.zeros_(layer.weight)
    logits = model.decoder(torch.zeros(4, 64 + 2)).double()
    x = pixels.flatten(1).double()
    exact = (x * logits.sigmoid().log() + (1 - x) * (-logits).sigmoid().log()).sum(1)  # the same for both classes
    labels = torch.tensor([0, 1, 0, 1])
    bound = model.bound(pixels, labels)
    assert (bound.double() < exact - math.log(2)).all()
    # With q(z|x, y) = N(0, I), which is the posterior here, it is exact.
    torch.nn.init.zeros_(model.encoder[-1].weight)
    torch.nn.init.zeros_(model.encoder[-1].bias)
    torch.testing.assert_close(model.bound(pixels, labels).double(), exact - math.log(2), rtol=1e-5, atol=1e-4)
    # log p(x) = log sum_y p(x, y); U(x) is that where q(y|x) is the posterior, which is 1/2 here.
    torch.nn.init.zeros_(model.classifier.bias)
    torch.testing.assert_close(model.unlabelled_bound(pixels).double(), exact, rtol=1e-5, atol=1e-4)


def test_a_batch_leaves_out_terms_of_images_that_it_lacks():
    model, pixels = model_of(4)
    one = losses(model, pixels, torch.tensor([0, 0, 0, 1], dtype=torch.int8))
    assert one["labelled"] == one["cross_entropy"] == 0
    assert one["unlabelled"] != 0
    none = losses(model, pixels, torch.tensor([1, 1, -1, 0], dtype=torch.int8))
    assert none["unlabelled"] == 0
    assert none["labelled"] > 0
    assert none["cross_entropy"] > 0
    losses(model, pixels[:2], torch.tensor([0, 1], dtype=torch.int8))["loss"].backward()  # neither: a gradient of 0


def test_it_goes_on_bit_for_bit_and_a_loaded_one_scores_the_same():
    chosen, images = setting(total_steps=8), digits().test.images[:9]
    stop = StopAt(5)
    with pytest.raises(Interrupted):
        build_comparator("ss_dgm", chosen).fit(given(digits()), stop)
    resumed, loaded = build_comparator("ss_dgm", chosen), build_comparator("ss_dgm", chosen)
    resumed.fit(given(digits()), GoOn(stop.kept))
    expected = fitted("ss_dgm", digits(), chosen).score(images)
    np.testing.assert_array_equal(resumed.score(images), expected)
    loaded.load({name: tensor.clone() for name, tensor in resumed.state().items()})
    np.testing.assert_array_equal(loaded.score(images), expected)
    with pytest.raises(ValueError, match="has no grey"):
        loaded.load({})
