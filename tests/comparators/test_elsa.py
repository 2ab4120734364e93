import functools

import numpy as np
import pytest
import torch
from comparators.comparing import auroc, digits, fitted, given, setting, some_of

from hscl_fast.comparators.registry import build_comparator

CHOSEN = setting(total_steps=50, optim={"batch_size": 16})


@functools.cache
def trained(name):
    return fitted(name, digits(), CHOSEN)


def test_elsa_tells_digits_apart():
    assert auroc(trained("elsa"), digits(), every=2) > 0.65


def test_labels_lower_the_scores_of_labelled_anomalies():
    some = some_of(digits(), unlabelled=10, labelled=5)
    images, indices, anomalies = torch.from_numpy(some.images), torch.arange(len(some.roles)), some.roles == -1

    def gap(roles):
        """How much higher the others score after a few updates."""
        elsa = build_comparator("elsa", CHOSEN)
        elsa.model.network.load_state_dict(trained("elsa").model.best.state_dict())
        elsa.model.make_room(10)
        elsa._find_prototypes(some.images[~anomalies])
        optimizer = torch.optim.Adam(elsa.model.network.train().parameters(), lr=3e-3)
        for step in range(8):
            optimizer.zero_grad()
            elsa._losses(images, roles, indices, step)["loss"].backward()
            optimizer.step()
        scores = elsa._scores(elsa.model.network, elsa.model.prototypes, some.images)
        return scores[~anomalies].mean() - scores[anomalies].mean()

    roles = torch.from_numpy(some.roles).long()
    assert gap(roles) > gap(torch.zeros_like(roles)) + 0.05


def test_the_best_round_is_kept():
    elsa = trained("elsa")
    model = elsa.model
    best = model.best.projection[0].weight.clone()
    held, rows = elsa._hold_out(given(digits()))
    assert len(held.images) == round(0.05 * (digits().training.roles == 0).sum())
    assert len(rows) + len(held.images) == len(digits().training.roles)
    assert (digits().training.roles[np.setdiff1d(np.arange(133), rows.numpy())] == 0).all()
    model.best_auroc.fill_(1.1)  # better than can be
    with torch.no_grad():
        model.network.projection[0].weight.zero_()
    elsa._keep_the_best(held)
    assert torch.equal(model.best.projection[0].weight, best)
    model.best_auroc.fill_(-1)
    elsa._keep_the_best(held)
    assert not model.best.projection[0].weight.any()
    trained.cache_clear()


def test_elsa_plus_trains_on_all_turns_with_the_role_of_the_image_and_the_turn_of_ordinary_ones():
    elsa = build_comparator("elsa_plus", CHOSEN)
    elsa.model.make_room(10)
    some = given(digits())
    elsa.model.network.eval()
    elsa._find_prototypes(some.images[some.roles >= 0])
    images, indices = torch.from_numpy(some.images[:4]), torch.arange(4)
    losses = elsa._losses(images, torch.tensor([1, 0, 0, 0]), indices, 0)
    assert losses["rotation"].item() == pytest.approx(np.log(4), abs=0.3)  # untrained
    assert elsa._losses(images, torch.full((4,), -1), indices, 0)["rotation"].item() == 0
    assert losses["loss"].item() == pytest.approx(losses["rotation"].item() + losses["energy"].item())
    assert elsa._scores(elsa.model.network, elsa.model.prototypes, some.images[:2]).mean() == pytest.approx(
        4 * np.log(10) + 4, abs=4
    )  # the sum of four turns, each between log K - 1 and log K + 1
