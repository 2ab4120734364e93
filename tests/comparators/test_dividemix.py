import functools

import numpy as np
import pytest
import torch
from comparators.comparing import NoProgress, auroc, digits, given, setting, some_of
from sklearn.metrics import roc_auc_score

from hscl_fast.comparators import dividemix
from hscl_fast.comparators.comparator import VisibleImages
from hscl_fast.comparators.dividemix import sharpen, small_loss_probability
from hscl_fast.comparators.registry import build_comparator
from hscl_fast.errors import UsageError

SPLIT = functools.partial(digits, labelled_ratio=0.2)


@functools.cache
def trained():
    comparator = build_comparator("dividemix", setting(total_steps=14, optim={"batch_size": 64, "learning_rate": 5e-3}))
    comparator.fit(given(SPLIT()), NoProgress())
    return comparator


def test_dividemix_tells_digits_apart():
    assert auroc(trained(), SPLIT()) > 0.8


def test_the_mixture_finds_hidden_anomalies():
    believed = trained().model.clean.mean(dim=0).numpy()
    roles, hidden = SPLIT().training.roles, SPLIT().hidden_anomalies
    assert roc_auc_score(~hidden, believed[roles == 0]) > 0.8
    assert (believed[roles != 0] == 1).all()  # labelled images are certain


def test_the_mixture_finds_flipped_labels():
    generator = torch.Generator().manual_seed(0)
    losses = torch.cat((0.1 * torch.rand(80, generator=generator), 2 + 0.5 * torch.rand(20, generator=generator)))
    likely = small_loss_probability(losses, seed=0)
    assert (likely[:80] > 0.9).all()
    assert (likely[80:] < 0.1).all()
    assert small_loss_probability(torch.full((5,), 0.3), seed=0).tolist() == [1] * 5


def test_each_network_is_told_by_the_other_which_labels_to_believe(monkeypatch):
    comparator = build_comparator("dividemix", setting())
    comparator.model.clean = torch.zeros(2, 3, dtype=torch.float64)
    first, second = comparator.model.pair()
    labels = torch.zeros(3, dtype=torch.long)
    logits = {id(first): [[9.0, 0], [9, 0], [0, 9]], id(second): [[0.0, 9], [9, 0], [9, 0]]}
    monkeypatch.setattr(comparator, "_logits", lambda model, images: torch.tensor(logits[id(model)]))
    comparator._divide(digits().training.images[:3], labels, torch.zeros(3, dtype=torch.int8))
    assert (comparator.model.clean > 0.5).tolist() == [[False, True, True], [True, True, False]]


def test_guesses_are_sharpened():
    sharp = sharpen(torch.tensor([[0.5, 0.5], [0.8, 0.2]]))
    assert sharp.flatten().tolist() == pytest.approx([0.5, 0.5, 16 / 17, 1 / 17])


@pytest.mark.parametrize("believed", [0.0, 1.0])
def test_all_labels_may_be_believed_or_none(believed):
    some = some_of(digits())
    comparator = build_comparator("dividemix", setting())
    count = len(some.roles)
    comparator.model.clean = torch.full((2, count), believed, dtype=torch.float64)
    loss = comparator._mixed_loss(0, torch.from_numpy(some.images), torch.zeros(count, dtype=torch.long), 4, 0)
    assert torch.isfinite(loss)
    loss.backward()
    gradients = [[parameter.grad is not None for parameter in model.parameters()] for model in comparator.model.pair()]
    assert all(gradients[0])  # of the network that is trained
    assert not any(gradients[1])


def test_only_aug_lnl_learns_from_strong_views_and_guesses_from_weak_ones(monkeypatch):
    some = some_of(digits())
    images, labels = torch.from_numpy(some.images), torch.zeros(len(some.roles), dtype=torch.long)
    policies, guessed = [], []

    def black(pixels, indices, *, policy, seed, step, views):
        policies.append(policy)
        return torch.zeros_like(pixels).repeat(views, 1, 1, 1)

    monkeypatch.setattr(dividemix, "strong_views", black)
    for name, expected in (("dividemix", []), ("aug_lnl", ["autoaugment"])):
        comparator = build_comparator(name, setting())
        comparator.model.clean = torch.ones(2, len(some.roles), dtype=torch.float64)
        trained_on = []
        monkeypatch.setattr(
            comparator, "_guess", lambda *given: guessed.append(torch.cat(given[2])) or torch.ones(4, 2) / 2
        )
        monkeypatch.setattr(comparator, "_mix_up", lambda *given, seen=trained_on: seen.append(given[1]))
        comparator._mixed_loss(0, images, labels, 4, 0)
        assert policies == expected
        assert torch.equal(trained_on[0], guessed[-1]) == (name == "dividemix")
        assert (guessed[-1] != -1).any()  # not black


def test_labelled_anomalies_are_needed():
    some = given(digits())
    kept = some.roles >= 0
    without = VisibleImages(some.images[kept], some.roles[kept], some.held_out, some.held_out_roles)
    with pytest.raises(UsageError, match="no labelled anomalies"):
        build_comparator("dividemix", setting()).fit(without, NoProgress())


def test_the_score_is_the_mean_probability_of_normal(monkeypatch):
    comparator = build_comparator("dividemix", setting())
    first, _ = comparator.model.pair()
    logits = torch.tensor([[0.0, 0.0], [0.0, 50.0]])
    monkeypatch.setattr(comparator, "_logits", lambda model, images: logits if model is first else logits.flip(0))
    np.testing.assert_allclose(comparator.score(digits().test.images[:2]), [0.25, 0.25])
