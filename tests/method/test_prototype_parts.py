"""The two sums of Eq. 4, one at a time."""

import pytest
import torch
from hscl_kernels import hscl_loss, normal_weights, prototype_similarity

from hscl_fast.config.sections import ObjectiveConfig
from hscl_fast.errors import UsageError
from hscl_fast.method.objective import compute_loss, objective_terms
from hscl_fast.method.prototype_parts import part_of_prototype_term

ROLES = torch.tensor([1, 0, 0, -1, -1, 2])
SEED, STEP = torch.tensor(3), torch.tensor(5)


def features(rows=12):
    generator = torch.Generator().manual_seed(1)
    z = torch.randn(rows, 8, generator=generator, dtype=torch.float64)
    return z.requires_grad_(), torch.randn(2, 8, generator=generator, dtype=torch.float64).requires_grad_()


def by_hand(z, v, roles, part):
    """Eq. 4, row by row."""
    u, directions = torch.nn.functional.normalize(z), torch.nn.functional.normalize(v)
    m = (u @ directions.T).amax(dim=1)
    if part == "anomalies":
        return torch.stack([m[i].clamp(min=0) ** 2 for i in range(len(roles)) if roles[i] == -1]).mean()
    w = [1.0 if role == 1 else (m[i].item() + 1) / 2 for i, role in enumerate(roles.tolist())]
    rows = [i for i, role in enumerate(roles.tolist()) if role in (0, 1)]
    return sum((w[i] * (1 - m[i])) ** 2 for i in rows) / sum(w[i] for i in rows)


@pytest.mark.parametrize("part", ["normals", "anomalies"])
@pytest.mark.parametrize("backend", ["reference", "cpu"])
def test_each_sum_is_that_of_the_equation(part, backend):
    z, v = features()
    roles = ROLES.repeat(2)
    found = part_of_prototype_term(z, v, roles, part, backend=backend)
    expected = by_hand(z, v, roles, part)
    torch.testing.assert_close(found, expected)
    for ours, theirs in zip(torch.autograd.grad(found, (z, v)), torch.autograd.grad(expected, (z, v)), strict=True):
        torch.testing.assert_close(ours, theirs)


def test_both_sums_together_are_the_whole_term():
    z, v = features()
    roles = ROLES.repeat(2)
    both = sum(part_of_prototype_term(z, v, roles, part) for part in ("normals", "anomalies"))
    torch.testing.assert_close(both, hscl_loss(z, v, torch.arange(6).repeat(2), roles).sample_to_prototype)


@pytest.mark.parametrize(("part", "role"), [("normals", -1), ("anomalies", 1)])
def test_without_rows_of_its_kind_a_sum_is_exactly_zero(part, role):
    z, v = features()
    found = part_of_prototype_term(z, v, torch.full((12,), role), part)
    assert found.item() == 0
    assert not torch.autograd.grad(found, z)[0].any()


@pytest.mark.parametrize("part", ["normals", "anomalies"])
@pytest.mark.parametrize("backend", ["reference", "cpu"])
def test_the_objective_leaves_the_other_sum_out_and_keeps_the_weights(part, backend):
    z, v = (tensor.detach().float().requires_grad_() for tensor in features(48))
    config = ObjectiveConfig(prototype_parts=part, lambda_prototype=0.7, rotated_roles="inherit", backend=backend)
    losses = compute_loss(config, z, v, None, ROLES, torch.zeros(48), seed=SEED, step=STEP)
    terms = dict(zip((term.name for term in objective_terms(config)), losses, strict=True))
    roles = ROLES.repeat(8)
    whole = hscl_loss(z, v, torch.arange(24).repeat(2), roles, lambda_prototype=0.7, backend="reference")
    kept = part_of_prototype_term(z, v, roles, part, backend="reference")
    torch.testing.assert_close(terms["sample_to_prototype"], kept)
    torch.testing.assert_close(terms["normal_to_abnormal"], whole.normal_to_abnormal)
    weights = normal_weights(prototype_similarity(z, v)[0], roles)
    torch.testing.assert_close(whole.weights, weights)
    assert len(set(weights.tolist())) > 2  # so that prototypes do decide the weights
    expected = whole.sample_to_sample + 0.7 * kept + whole.normal_to_abnormal
    torch.testing.assert_close(terms["total"], expected)
    for ours, theirs in zip(
        torch.autograd.grad(terms["total"], (z, v)), torch.autograd.grad(expected, (z, v)), strict=True
    ):
        torch.testing.assert_close(ours, theirs, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("others", [{"lambda_prototype": 0.0}, {"name": "released", "rotated_roles": "inherit"}])
def test_where_there_are_no_two_sums_none_can_be_left_out(others):
    with pytest.raises(UsageError, match=r"prototype_parts is 'normals', but must be both where"):
        ObjectiveConfig(prototype_parts="normals", **others)
