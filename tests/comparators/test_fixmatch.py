import math

import numpy as np
import pytest
import torch
from comparators.comparing import NoProgress, auroc, digits, fitted, given, setting, some_of

from hscl_fast.comparators import fixmatch
from hscl_fast.comparators.comparator import VisibleImages
from hscl_fast.comparators.fixmatch import pseudo_label_loss
from hscl_fast.comparators.registry import build_comparator
from hscl_fast.errors import UsageError


def test_fixmatch_tells_digits_apart():
    split = digits(labelled_ratio=0.2)
    assert auroc(fitted("fixmatch", split, setting(total_steps=40, optim={"batch_size": 16})), split) > 0.8


def logit(probability):
    return math.log(probability / (1 - probability))


def test_only_confident_pseudo_labels_count():
    weak = torch.tensor([[logit(0.96), 0.0], [logit(0.94), 0.0], [0.0, logit(0.99)], [0.0, 0.0]])
    strong = torch.zeros(4, 2, requires_grad=True)
    loss, share = pseudo_label_loss(weak, strong)
    assert share.item() == 0.5
    assert loss.item() == pytest.approx(2 * math.log(2) / 4)
    loss.backward()
    # The strong view of the first is drawn to class 0, that of the third to class 1; the others stay.
    assert strong.grad.tolist() == [[-0.125, 0.125], [0, 0], [0.125, -0.125], [0, 0]]


def test_the_average_follows_the_weights_and_alone_scores():
    comparator = build_comparator("fixmatch", setting())
    model = comparator.model
    before = model.average.head.bias.clone()
    with torch.no_grad():
        model.trained.head.bias += 1
    model.updates.fill_(10_000)
    model.follow()
    torch.testing.assert_close(model.average.head.bias, before + 0.001)
    scores = comparator.score(digits().test.images[:3])
    with torch.no_grad():
        model.trained.head.weight.zero_()
    np.testing.assert_array_equal(comparator.score(digits().test.images[:3]), scores)


def test_a_batch_has_both_labels_alike_and_unlabelled_images_come_weak_and_strong(monkeypatch):
    seen = []

    def record(images, indices, **drawing):
        seen.append((indices.clone(), drawing["policy"]))
        return torch.zeros_like(images)

    monkeypatch.setattr(fixmatch, "strong_views", record)
    some = some_of(digits())
    comparator = build_comparator("fixmatch", setting(total_steps=10, optim={"batch_size": 18}))
    stage = comparator._stage(some)
    shown = []
    monkeypatch.setattr(comparator, "_losses", lambda *batch: shown.append(batch[1:4]) or {})
    stage.loss(0)
    labelled, targets, unlabelled = shown[0]
    assert some.roles[labelled].tolist() == [1, -1]
    assert targets.tolist() == [0, 1]
    assert (some.roles[unlabelled] == 0).all()
    assert len(unlabelled) == 14
    monkeypatch.undo()
    monkeypatch.setattr(fixmatch, "strong_views", record)
    losses = comparator._losses(torch.from_numpy(some.images), *shown[0], 0)
    assert losses.keys() == {"loss", "labelled", "pseudo", "confident"}
    assert seen[0][1] == "randaugment"
    assert torch.equal(seen[0][0], unlabelled)


@pytest.mark.parametrize(("role", "name"), [(1, "labelled normal images"), (-1, "labelled anomalies")])
def test_both_labels_are_needed(role, name):
    some = given(digits())
    kept = some.roles != role
    without = VisibleImages(some.images[kept], some.roles[kept], some.held_out, some.held_out_roles)
    with pytest.raises(UsageError, match=f"no {name}"):
        build_comparator("fixmatch", setting()).fit(without, NoProgress())
