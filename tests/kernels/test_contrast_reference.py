"""The contrastive terms against loops that spell out the equations, in float64."""

import math

import pytest
import torch
from hscl_kernels import hscl_loss, info_nce
from hscl_kernels.contrast.reference import draw_counts, normal_to_abnormal, sampling_weights
from hscl_kernels.prototypes.reference import unit
from hypothesis import given, settings
from hypothesis import strategies as st


def batch(rows, features=8, prototypes=2, seed=0):
    generator = torch.Generator().manual_seed(seed)
    z = torch.randn(rows, features, dtype=torch.float64, generator=generator)
    v = torch.randn(prototypes, features, dtype=torch.float64, generator=generator)
    return z.requires_grad_(), v.requires_grad_()


def loop_info_nce(z, ids, tau):
    u = unit(z)
    losses = []
    for i in range(len(z)):
        others = [j for j in range(len(z)) if j != i]
        positives = [j for j in others if ids[j] == ids[i]]
        if not positives:
            losses.append(0.0)
            continue
        e = {j: math.exp(float(u[i] @ u[j]) / tau) for j in others}
        losses.append(-math.log(sum(e[j] for j in positives) / sum(e.values())))
    return losses


@pytest.mark.parametrize("ids", [[0, 1, 2, 0, 1, 2], [0, 0, 0, 1, 1, 2], [0, 0, 0, 0, 0, 0]])
@pytest.mark.parametrize("tau", [0.5, 0.1, 0.02])
def test_info_nce_is_equations_1_and_2(ids, tau):
    z, _ = batch(6)
    losses = info_nce(z, torch.tensor(ids), tau, reduction="none")
    assert losses.tolist() == pytest.approx(loop_info_nce(z.detach(), ids, tau), rel=1e-10, abs=1e-12)
    mean = info_nce(z, torch.tensor(ids), tau)
    assert mean.item() == pytest.approx(losses.mean().item(), rel=1e-12)
    assert info_nce(z, torch.tensor(ids), tau, reduction="sum").item() == pytest.approx(6 * mean.item(), rel=1e-12)


def test_info_nce_ignores_lengths():
    z, _ = batch(6)
    ids = torch.tensor([0, 1, 2, 0, 1, 2])
    lengths = torch.tensor([1e-3, 1, 10, 1e4, 2, 5], dtype=torch.float64)[:, None]
    assert info_nce(z * lengths, ids).item() == pytest.approx(info_nce(z, ids).item(), rel=1e-12)


@pytest.mark.parametrize("estimator", ["expectation", "multinomial"])
def test_total_is_equations_3_to_8(estimator):
    z, v = batch(12)
    roles = torch.tensor([1, 0, 0, -1, 2, 0, 1, 0, 0, -1, 2, 0])
    ids = torch.arange(6).repeat(2)
    uniforms = torch.rand(2, 12, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
    loss = hscl_loss(
        z, v, ids, roles, lambda_prototype=0.7, lambda_abnormal=0.3, na_estimator=estimator, uniforms=uniforms
    )

    u, directions = unit(z.detach()), unit(v.detach())
    m = [max(float(row @ d) for d in directions) for row in u]
    w = [1.0 if r == 1 else (m[i] + 1) / 2 if r == 0 else 0.0 for i, r in enumerate(roles.tolist())]
    assert loss.weights.tolist() == pytest.approx(w)
    anomalies = [i for i, r in enumerate(roles.tolist()) if r == -1]
    sp = sum((w[i] * (1 - m[i])) ** 2 for i in range(12)) / sum(w)
    sp += sum(max(m[i], 0) ** 2 for i in anomalies) / len(anomalies)
    assert loss.sample_to_prototype.item() == pytest.approx(sp, rel=1e-10)

    eligible = [i for i in range(12) if w[i] > 0.4]
    total_weight = sum(w[i] for i in eligible)
    p = {i: w[i] / total_weight for i in eligible}
    if estimator == "expectation":
        anchors, positives = p, {j: len(eligible) * p[j] for j in eligible}
    else:
        drawn = [draw(p, uniforms[k, : len(eligible)].tolist()) for k in range(2)]
        anchors = {i: drawn[0].count(i) / len(eligible) for i in eligible}
        positives = {j: drawn[1].count(j) for j in eligible}
    na = 0.0
    for i in anchors:
        e = [math.exp(float(u[i] @ u[j]) / 0.5) for j in range(12)]
        above = sum(positives[j] * e[j] for j in positives if j != i)
        below = sum(e[j] for j in anomalies)
        if above:
            na -= anchors[i] * math.log(above / (above + below))
    assert loss.normal_to_abnormal.item() == pytest.approx(na, rel=1e-10)
    expected = loss.sample_to_sample.item() + 0.7 * sp + 0.3 * na
    assert loss.total.item() == pytest.approx(expected, rel=1e-10)


def draw(p, uniforms):
    rows = []
    for u in uniforms:
        below = 0.0
        for i in sorted(p):
            below += p[i]
            if u < below:
                rows.append(i)
                break
    return rows


def test_gradients_are_those_of_the_value():
    z, v = batch(8, features=4)
    roles = torch.tensor([1, 0, -1, 0] * 2)
    ids = torch.arange(4).repeat(2)
    # w is detached, so it is frozen while the value is differenced.
    anchors, count = sampling_weights(hscl_loss(z, v, ids, roles).weights, 0.4)
    assert torch.autograd.gradcheck(lambda z: info_nce(z, ids), (z,))
    assert torch.autograd.gradcheck(lambda z: normal_to_abnormal(z, roles, anchors, count * anchors), (z,))


@settings(max_examples=60, deadline=None)
@given(
    roles=st.lists(st.sampled_from([1, 0, -1, 2]), min_size=2, max_size=10),
    prototypes=st.sampled_from([1, 3, 64]),
    tau=st.sampled_from([0.5, 0.1, 0.02]),
    estimator=st.sampled_from(["expectation", "multinomial"]),
    degenerate=st.sampled_from(["none", "zero rows", "identical rows"]),
)
def test_any_batch_is_legal(roles, prototypes, tau, estimator, degenerate):
    z, v = batch(len(roles), prototypes=prototypes)
    with torch.no_grad():
        if degenerate == "zero rows":
            z[0] = 0
        if degenerate == "identical rows":
            z[:] = z[0]
    ids = torch.arange(len(roles)) // 2
    loss = hscl_loss(z, v, ids, torch.tensor(roles), temperature=tau, na_estimator=estimator)
    for term in loss[:4]:
        gradients = torch.autograd.grad(term, (z, v), retain_graph=True, allow_unused=True)
        assert torch.isfinite(term)
        assert all(g is None or torch.isfinite(g).all() for g in gradients)
    if -1 not in roles or not {0, 1} & set(roles):
        (gradient,) = torch.autograd.grad(loss.normal_to_abnormal, z, retain_graph=True)
        assert loss.normal_to_abnormal.item() == 0
        assert not gradient.any()
    if set(roles) == {2}:
        gradients = torch.autograd.grad(loss.sample_to_prototype, (z, v), retain_graph=True)
        assert loss.sample_to_prototype.item() == 0
        assert not any(g.any() for g in gradients)


def test_a_single_eligible_row_has_no_positive():
    z, v = batch(4)
    loss = hscl_loss(z, v, torch.arange(4) // 2, torch.tensor([1, -1, -1, 2]))
    assert loss.normal_to_abnormal.item() == 0


def test_draws_follow_the_probabilities():
    p = torch.tensor([0.0, 0.5, 0.0, 0.3, 0.2, 0.0], dtype=torch.float64)
    uniforms = (torch.arange(6000, dtype=torch.float64) + 0.5) / 6000
    total = sum(draw_counts(p, torch.tensor(6), chunk) for chunk in uniforms.split(6))
    assert total.tolist() == pytest.approx([0, 3000, 0, 1800, 1200, 0], abs=1)
    assert draw_counts(p, torch.tensor(4), uniforms[:6]).sum() == 4
    assert not draw_counts(torch.zeros(6, dtype=torch.float64), torch.tensor(0), uniforms[:6]).any()


def test_untrained_prototypes_decide_nothing():
    z, v = batch(6)
    loss = hscl_loss(z, v, torch.arange(3).repeat(2), torch.tensor([1, 0, -1] * 2), lambda_prototype=0.0)
    assert loss.weights.tolist() == [1, 1, 0, 1, 1, 0]
    assert torch.autograd.grad(loss.total, v, allow_unused=True)[0].abs().sum() == 0
