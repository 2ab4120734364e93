"""Which rows play which role, and what the objective adds up."""

from dataclasses import replace

import pytest
import torch
from hscl_kernels import hscl_loss

from hscl_fast.config.sections import ObjectiveConfig
from hscl_fast.method.objective import compute_loss, objective_terms, row_roles
from hscl_fast.method.released_loss import released_loss

ROLES = torch.tensor([1, 0, 0, -1], dtype=torch.int64)
TURNS = torch.arange(4).repeat_interleave(4).repeat(2)
SEED, STEP = torch.tensor(3), torch.tensor(5)


def features(rows=32, dtype=torch.float32):
    generator = torch.Generator().manual_seed(0)
    return (
        torch.randn(rows, 16, generator=generator).to(dtype),
        torch.randn(2, 16, generator=generator),
        torch.randn(rows, 4, generator=generator),
    )


@pytest.mark.parametrize(
    ("option", "rotated"), [("inherit", [1, 0, 0, -1]), ("exclude", [2] * 4), ("abnormal", [-1] * 4)]
)
def test_rotated_copies_take_the_configured_role(option, rotated):
    rows = row_roles(ROLES, option).view(2, 4, 4)
    assert rows[:, 0].tolist() == [ROLES.tolist()] * 2
    assert rows[:, 1:].reshape(-1, 4).tolist() == [rotated] * 6


@pytest.mark.parametrize("estimator", ["expectation", "multinomial"])
@pytest.mark.parametrize("shift", [False, True])
def test_paper_objective_is_hscl_loss_plus_rotation(estimator, shift):
    z, v, logits = features()
    config = ObjectiveConfig(na_estimator=estimator, shift_loss=shift, lambda_abnormal=0.5)
    losses = compute_loss(config, z, v, logits if shift else None, ROLES, TURNS, seed=SEED, step=STEP)
    terms = dict(zip((term.name for term in objective_terms(config)), losses, strict=True))
    ids = torch.arange(16).repeat(2)
    direct = hscl_loss(z, v, ids, row_roles(ROLES, "exclude"), lambda_abnormal=0.5)
    assert terms["sample_to_sample"] == direct.sample_to_sample
    assert terms["sample_to_prototype"] == direct.sample_to_prototype
    expected = terms["sample_to_sample"] + terms["sample_to_prototype"] + 0.5 * terms["normal_to_abnormal"]
    if shift:
        assert terms["rotation"] == torch.nn.functional.cross_entropy(logits, TURNS)
        expected = expected + terms["rotation"]
    torch.testing.assert_close(terms["total"], expected)


@pytest.mark.parametrize("weight", [0.0, 3.0])
def test_the_sample_to_sample_term_has_a_weight(weight):
    z, v, _ = features()
    z.requires_grad_()
    config = ObjectiveConfig(lambda_sample=weight)
    losses = compute_loss(config, z, v, None, ROLES, TURNS, seed=SEED, step=STEP)
    terms = hscl_loss(z, v, torch.arange(16).repeat(2), row_roles(ROLES, "exclude"), backend="reference")
    expected = weight * terms.sample_to_sample + terms.sample_to_prototype + terms.normal_to_abnormal
    torch.testing.assert_close(losses[0], expected)
    ours, theirs = (torch.autograd.grad(total, z, retain_graph=True)[0] for total in (losses[0], expected))
    torch.testing.assert_close(ours, theirs, rtol=1e-4, atol=1e-6)


def test_released_objective_is_released_loss_plus_rotation():
    z, v, logits = features()
    config = ObjectiveConfig(name="released", rotated_roles="inherit", shift_loss=True)
    losses = compute_loss(config, z, v, logits, ROLES, TURNS, seed=SEED, step=STEP)
    terms = dict(zip((term.name for term in objective_terms(config)), losses, strict=True))
    assert terms["nt_xent"] == released_loss(z, v, ROLES.repeat(8)).nt_xent
    torch.testing.assert_close(terms["total"], terms["nt_xent"] + terms["convex"] + terms["rotation"])


@pytest.mark.parametrize("rotated_roles", ["inherit", "exclude", "abnormal"])
@pytest.mark.parametrize("turns", [[0], [0, 2]])
def test_fewer_rotations_give_the_loss_of_these_rows(turns, rotated_roles):
    z, v, logits = features()
    chosen = torch.isin(TURNS, torch.tensor(turns))
    config = ObjectiveConfig(rotated_roles=rotated_roles, shift_loss=len(turns) > 1)
    losses = compute_loss(config, z[chosen], v, logits[chosen], ROLES, TURNS[chosen], seed=SEED, step=STEP)
    terms = dict(zip((term.name for term in objective_terms(config)), losses, strict=True))
    direct = hscl_loss(z[chosen], v, torch.arange(16).repeat(2)[chosen], row_roles(ROLES, rotated_roles)[chosen])
    for name in ("sample_to_sample", "sample_to_prototype", "normal_to_abnormal"):
        assert terms[name] == getattr(direct, name)
    if config.shift_loss:
        assert terms["rotation"] == torch.nn.functional.cross_entropy(logits[chosen], TURNS[chosen])


@pytest.mark.parametrize(
    "config",
    [
        ObjectiveConfig(na_estimator="multinomial"),
        ObjectiveConfig(name="released", rotated_roles="inherit"),
    ],
)
def test_sampling_is_a_pure_function_of_seed_and_step(config):
    z, v, _ = features()

    def loss(step):
        return compute_loss(config, z, v, None, ROLES, TURNS, seed=SEED, step=torch.tensor(step)).tolist()

    assert loss(5) == loss(5)
    assert loss(5) != loss(6)


def test_losses_are_float32_whatever_the_encoder_ran_in():
    z, v, logits = features(dtype=torch.bfloat16)
    config = replace(ObjectiveConfig(), shift_loss=True)
    assert compute_loss(config, z, v, logits.bfloat16(), ROLES, TURNS, seed=SEED, step=STEP).dtype == torch.float32
