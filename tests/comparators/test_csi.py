import functools

import numpy as np
import pytest
import torch
from comparators.comparing import NoProgress, auroc, digits, given, setting
from hscl_kernels import unit

from hscl_fast.comparators.registry import build_comparator

CHOSEN = setting(total_steps=60, optim={"batch_size": 32})


class Figures:
    saved = None

    def __init__(self):
        self.rows = []

    def advance(self, step, total, state, **figures):
        self.rows.append({name: float(value) for name, value in figures.items()})


@functools.cache
def trained():
    csi, figures = build_comparator("csi", CHOSEN), Figures()
    csi.fit(given(digits()), figures)
    return csi, figures.rows


def test_csi_tells_digits_apart():
    assert auroc(trained()[0], digits(), every=5) > 0.6


def test_both_losses_fall():
    rows = trained()[1]
    assert len(rows) == 60  # as many views in a step as HSCL, and as many steps
    early, late = rows[:5], rows[-10:]
    for name, least in (("contrast", 0.3), ("rotation", 0.3)):
        assert np.mean([row[name] for row in late]) < np.mean([row[name] for row in early]) - least


@pytest.mark.parametrize(("name", "turns"), [("csi", 4), ("elsa", 1), ("elsa_plus", 4)])
def test_a_score_takes_the_crops_that_are_chosen(name, turns):
    for crops in (1, 3):
        comparator = build_comparator(name, setting(method={"name": name, "crops": crops}))
        scores_with = comparator.network if name == "csi" else comparator.model.best
        scored = []
        scores_with.register_forward_hook(lambda module, views, out, seen=scored: seen.append(len(views[0])))
        comparator.fit(given(digits()), NoProgress())
        scored.clear()
        comparator.score(digits().test.images[:5])
        assert sum(scored) == 5 * comparator.passes == 5 * crops * turns


def test_labelled_anomalies_are_not_in_the_bank():
    assert len(trained()[0].bank) == (digits().training.roles >= 0).sum()


def test_the_score_is_that_of_the_publication():
    csi = build_comparator("csi", CHOSEN)
    generator = torch.Generator().manual_seed(0)
    known, new = (torch.randn(n, 4, 128, generator=generator) for n in (5, 2))
    logits = torch.randn(2, 4, generator=generator)
    csi.bank, csi.lengths, csi.logits = unit(known), known.norm(dim=2).mean(dim=0), torch.tensor([1.0, 2.0, 3.0, 4.0])
    csi._embed = lambda images: (new, logits)
    expected = [
        sum(
            max(float(x[r] @ known[i, r] / known[i, r].norm()) for i in range(5))
            / float(known[:, r].norm(dim=1).mean())
            + float(own[r]) / (r + 1)
            for r in range(4)
        )
        / 4
        for x, own in zip(new, logits, strict=True)
    ]
    assert csi.score(digits().test.images[:2]) == pytest.approx(expected, rel=1e-5)
