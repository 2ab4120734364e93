"""Bad updates are skipped whole and counted; good ones are what plain Adam does."""

import pytest
import torch
from torch import nn

from hscl_fast.training.guard import UpdateGuard
from hscl_fast.training.optimizer import FusedAdam


def make(scaled=False, clip_norm=None):
    torch.manual_seed(0)
    # A bias ahead of the normalisation would have a gradient of rounding noise, which Adam scales up to whole steps.
    model = nn.Sequential(nn.Linear(4, 8, bias=False), nn.BatchNorm1d(8), nn.Linear(8, 1))
    optimizer = FusedAdam(list(model.parameters()), weight_decay=0.0)
    optimizer.rate.fill_(0.01)
    return model, UpdateGuard(list(model.buffers()), optimizer, scaled=scaled, clip_norm=clip_norm)


def step(model, guard, x):
    guard.remember_statistics()
    loss = model(x).square().mean()
    return guard.update(loss, torch.autograd.grad(loss * guard.scale, list(model.parameters())))


def state(model):
    return {name: tensor.clone() for name, tensor in model.state_dict().items()}


def everything(optimizer):
    return [*optimizer.first_moments, *optimizer.second_moments, optimizer.updates]


def test_a_good_update_is_plain_adam():
    model, guard = make()
    plain, _ = make()
    optimizer = torch.optim.Adam(plain.parameters(), lr=0.01)
    for seed in range(3):
        x = torch.randn(16, 4, generator=torch.Generator().manual_seed(seed))
        norm = step(model, guard, x)
        optimizer.zero_grad()
        plain(x).square().mean().backward()
        torch.testing.assert_close(norm, nn.utils.get_total_norm([p.grad for p in plain.parameters()]))
        optimizer.step()
    for ours, theirs in zip(state(model).values(), state(plain).values(), strict=True):
        torch.testing.assert_close(ours, theirs)


def test_a_gradient_of_another_layout_is_the_same_gradient():
    weights = torch.arange(48.0).view(4, 3, 2, 2)
    gradient = (weights * 7).sin()
    updated = []
    for layout in (torch.contiguous_format, torch.channels_last):
        parameter = nn.Parameter(weights.clone())
        optimizer = FusedAdam([parameter], weight_decay=0.0)
        optimizer.rate.fill_(0.1)
        for _ in range(2):
            given = gradient.clone(memory_format=layout)
            optimizer.update([given], divisor=torch.ones(()), skip=torch.zeros(()))
        updated.append(parameter.detach())
    assert torch.equal(*updated)


@pytest.mark.parametrize("bad", [float("nan"), float("inf")])
def test_a_bad_update_leaves_no_trace(bad):
    model, guard = make()
    step(model, guard, torch.randn(16, 4))
    before, moments = state(model), [m.clone() for m in everything(guard.optimizer)]
    x = torch.randn(16, 4)
    x[3, 1] = bad
    step(model, guard, x)
    step(model, guard, x)
    assert all(torch.equal(before[name], tensor) for name, tensor in state(model).items())
    after = everything(guard.optimizer)
    assert all(torch.equal(a, b) for a, b in zip(moments, after, strict=True))
    assert (guard.skipped.item(), guard.skipped_in_a_row.item()) == (2, 2)
    step(model, guard, torch.randn(16, 4))
    assert (guard.skipped.item(), guard.skipped_in_a_row.item()) == (2, 0)
    assert not torch.equal(before["0.weight"], model[0].weight)


def test_the_loss_scale_cancels_and_adapts():
    plain_model, plain = make()
    model, guard = make(scaled=True)
    x = torch.randn(16, 4)
    norms = step(plain_model, plain, x), step(model, guard, x)
    torch.testing.assert_close(*norms)
    torch.testing.assert_close(model[0].weight, plain_model[0].weight)
    before = guard.scale.item()
    step(model, guard, x * float("inf"))
    assert guard.scale.item() == before / 2
    guard.streak.fill_(1999)
    step(model, guard, x)
    assert guard.scale.item() == before
    assert guard.streak.item() == 0


def test_clipping_limits_the_gradient_norm():
    # Adam hides the scale of a constant gradient, so its first moment is looked at.
    model, guard = make(clip_norm=0.001)
    norm = step(model, guard, torch.randn(16, 4))
    assert norm > 0.001
    moments = torch.cat([moment.flatten() for moment in guard.optimizer.first_moments])
    assert (moments / 0.1).norm().item() == pytest.approx(0.001, rel=1e-4)


def test_state_survives_a_round_trip():
    model, guard = make(scaled=True)
    step(model, guard, torch.full((16, 4), float("nan")))
    _, other = make(scaled=True)
    other.load_state_dict({name: value.clone() for name, value in guard.state_dict().items()})
    assert other.scale == guard.scale
    assert other.skipped == 1


def test_parameters_may_have_rates_of_their_own():
    """As torch's Adam with two groups; the number of updates is one for all."""
    model, plain = (make()[0] for _ in range(2))
    optimizer = FusedAdam(list(model.parameters()), weight_decay=0.1, factors=[0.25, 1.0, 1.0, 0.25, 1.0])
    optimizer.rate.fill_(0.01)
    parts = list(plain.parameters())
    slow, fast = [parts[0], parts[3]], [parts[1], parts[2], parts[4]]
    groups = [{"params": slow, "lr": 0.0025}, {"params": fast}]
    oracle = torch.optim.Adam(groups, lr=0.01, weight_decay=0.1)
    for seed in range(3):
        x = torch.randn(16, 4, generator=torch.Generator().manual_seed(seed))
        gradients = torch.autograd.grad(model(x).square().mean(), list(model.parameters()))
        optimizer.update(gradients, divisor=torch.ones(()), skip=torch.zeros(()))
        oracle.zero_grad()
        plain(x).square().mean().backward()
        oracle.step()
    assert optimizer.updates.item() == 3
    for ours, theirs in zip(model.parameters(), plain.parameters(), strict=True):
        torch.testing.assert_close(ours, theirs)
