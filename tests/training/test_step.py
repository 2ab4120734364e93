"""The training step: what it trains, in which precision, and that nothing but its inputs decides it."""

from dataclasses import replace

import pytest
import torch
from conftest import tiny_config
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from hscl_fast.data.loaders.loader import Batch
from hscl_fast.data.loaders.resident import ResidentLoader
from hscl_fast.device import Execution
from hscl_fast.method.network import build_network
from hscl_fast.training.step import TrainingStep

CPU = torch.device("cpu")


def make(split, config, precision=torch.float32):
    model = build_network(config.model, 8, rotation_head=config.objective.shift_loss, seed=0)
    loader = ResidentLoader(split.training, config.optim.batch_size, seed=0, device=CPU)
    step = TrainingStep(config, model, Execution(CPU, precision), total_steps=40)
    return loader, step


def run(split, config, steps, precision=torch.float32):
    loader, step = make(split, config, precision)
    curve = []
    for batch in loader.batches(0, steps):
        step(batch)
        curve.append(step.read_metrics())
    return step, curve


@pytest.mark.parametrize(
    "objective",
    [
        {},
        {"na_estimator": "multinomial", "rotated_roles": "abnormal"},
        {"name": "released", "rotated_roles": "inherit", "shift_loss": True},
        {"lambda_prototype": 0.0},
    ],
)
def test_every_objective_learns(digits, objective):
    evaluate = {"scoring": "knn"} if objective.get("lambda_prototype") == 0 else {}
    config = tiny_config(
        objective=objective, augment={"policy": "none"}, optim={"learning_rate": 0.01}, evaluate=evaluate
    )
    step, curve = run(digits, config, 25)
    assert step.step.item() == 25
    first, last = (sum(row["total"] for row in rows) / 5 for rows in (curve[:5], curve[-5:]))
    assert last < first - 0.2
    assert all(row["skipped_updates"] == 0 for row in curve)
    moved = (step.model.prototypes != build_network(config.model, 8, rotation_head=False, seed=0).prototypes).all()
    assert bool(moved) == (objective.get("lambda_prototype") != 0)


def test_the_fused_objective_trains_as_the_reference_does(digits):
    """50 steps of float32: rounding differences of 1e-7 grow with training, so the bound is on the loss curves."""
    curves = []
    for backend in ("reference", "auto"):
        config = tiny_config(objective={"backend": backend}, optim={"epochs": 20})
        curves.append([row["total"] for row in run(digits, config, 50)[1]])
    assert curves[1] == pytest.approx(curves[0], rel=2e-3)
    assert curves[1][:3] == pytest.approx(curves[0][:3], rel=1e-5)
    assert curves[1] != curves[0]


def test_two_runs_are_the_same_bits(digits):
    first, again = (run(digits, tiny_config(), 4)[0].model.state_dict() for _ in range(2))
    assert all(torch.equal(first[name], again[name]) for name in first)


# The CPU emulates half-precision convolutions, slowly: a few steps of small batches.
SMALL = {"optim": {"batch_size": 4, "learning_rate": 0.001}}


@pytest.mark.parametrize(("precision", "tolerance"), [(torch.bfloat16, 0.05), (torch.float16, 0.02)])
def test_half_precision_follows_float32(digits, precision, tolerance):
    curves = []
    for dtype in (torch.float32, precision):
        loader, step = make(digits, tiny_config(**SMALL), dtype)
        step.guard.scale.fill_(256.0 if step.guard.scaled else 1.0)
        curves.append([])
        for batch in loader.batches(0, 3):
            step(batch)
            curves[-1].append(step.read_metrics()["total"])
    assert curves[1] == pytest.approx(curves[0], rel=tolerance)
    assert step.guard.scaled == (precision == torch.float16)
    assert all(parameter.dtype == torch.float32 for parameter in step.model.parameters())


def test_an_overflowing_loss_scale_skips_and_recovers(digits):
    loader, step = make(digits, tiny_config(**SMALL), torch.float16)
    step.guard.scale.fill_(2.0**23)
    before = {name: tensor.clone() for name, tensor in step.model.state_dict().items()}
    batches = loader.batches(0, 14)
    step(next(batches))
    assert step.guard.skipped.item() == 1
    assert all(torch.equal(before[name], tensor) for name, tensor in step.model.state_dict().items())
    for batch in batches:
        step(batch)
    assert step.guard.skipped_in_a_row.item() == 0
    assert 1 < step.guard.scale.item() < 2.0**23


def test_metrics_are_means_over_good_updates(digits):
    loader, step = make(digits, tiny_config())
    batches = list(loader.batches(0, 3))
    losses = []
    for batch in batches[:2]:
        losses.append(step.losses(batch)[0].item())
        step(batch)
    with torch.no_grad():
        saved = step.model.prototypes.clone()
        step.model.prototypes.fill_(float("nan"))
    step(batches[2])
    metrics = step.read_metrics()
    assert metrics["total"] == pytest.approx(sum(losses) / 2, rel=1e-6)
    assert (metrics["skipped_updates"], metrics["skipped_in_a_row"]) == (1, 1)
    with torch.no_grad():
        step.model.prototypes.copy_(saved)
    assert "total" not in step.read_metrics()


def test_clipping_is_wired(digits):
    config = tiny_config()
    config = replace(config, optim=replace(config.optim, clip_norm=1e-3))
    assert make(digits, config)[1].guard.clip_norm == 1e-3


def test_the_encoder_may_learn_more_slowly(digits):
    """Adam's first step is the rate, whatever the gradient."""
    loader, step = make(digits, tiny_config(optim={"encoder_rate": 0.125, "warmup_share": 0.0}))
    before = {name: tensor.detach().clone() for name, tensor in step.model.named_parameters()}
    step(next(iter(loader.batches(0, 1))))
    moved = {name: (tensor - before[name]).abs().max().item() for name, tensor in step.model.named_parameters()}
    encoder = max(distance for name, distance in moved.items() if name.startswith("encoder."))
    rate = step.optimizer.rate.item()
    assert encoder == pytest.approx(rate / 8, rel=1e-3)
    assert max(moved.values()) == pytest.approx(rate, rel=1e-3)


@pytest.mark.parametrize("rotations", [1, 2])
def test_a_step_trains_on_as_many_rows_as_there_are_rotations(digits, rotations):
    config = tiny_config(augment={"rotations": rotations})
    loader, step = make(digits, config)
    seen = []
    step.forward = lambda views: seen.append(len(views)) or step.model(views)
    for batch in loader.batches(0, 2):
        step(batch)
    assert seen == [2 * rotations * 32] * 2
    assert step.read_metrics()["skipped_updates"] == 0


class NoSynchronisation(TorchDispatchMode):
    """Fails on operators that wait for the device to learn a value or a shape."""

    WAITING = ("_local_scalar_dense", "nonzero", "masked_select", "unique", "is_nonzero", "equal")

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        name = function.overloadpacket.__name__
        assert not any(name.startswith(waiting) for waiting in self.WAITING), name
        return function(*args, **(kwargs or {}))


@pytest.mark.parametrize(
    ("objective", "rotations"),
    [
        ({}, 4),
        ({"na_estimator": "multinomial"}, 2),
        ({"name": "released", "rotated_roles": "inherit", "shift_loss": True}, 4),
    ],
)
def test_the_step_never_waits_for_the_device(digits, objective, rotations):
    config = tiny_config(objective=objective, augment={"rotations": rotations}, optim={"clip_norm": 1.0})
    loader, step = make(digits, config)
    first, second = loader.batches(0, 2)
    step(first)
    with NoSynchronisation():
        step(second)
    with NoSynchronisation(), pytest.raises(AssertionError, match="_local_scalar_dense"):
        step.step.item()


class OneDevice(TorchDispatchMode):
    """Fails on operators that touch a tensor elsewhere: a copy to or from the host, or work that the host does."""

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        result = function(*args, **(kwargs or {}))
        tensors = [leaf for leaf in tree_leaves((args, kwargs, result)) if isinstance(leaf, torch.Tensor)]
        assert all(tensor.is_meta for tensor in tensors), function
        return result


@pytest.mark.parametrize(
    ("objective", "rotations"),
    [
        ({"backend": "triton"}, 4),
        ({"backend": "triton", "na_estimator": "multinomial", "shift_loss": True}, 2),
        ({"backend": "triton", "lambda_prototype": 0.0}, 1),
    ],
)
def test_the_step_stays_on_a_device_that_has_no_values(monkeypatch, objective, rotations):
    """On torch's meta device every read of a value and every copy to the host is an error; the path is a GPU's."""
    norm = torch.nn.utils.get_total_norm
    monkeypatch.setattr(torch.nn.utils, "get_total_norm", lambda gradients, foreach: norm(gradients, foreach=False))
    evaluate = {"scoring": "knn"} if objective.get("lambda_prototype") == 0 else {}
    config = tiny_config(
        objective=objective,
        augment={"backend": "triton", "rotations": rotations},
        optim={"clip_norm": 1.0},
        evaluate=evaluate,
    )
    with torch.device("meta"):
        model = build_network(config.model, 8, rotation_head=config.objective.shift_loss, seed=0)
        batch = Batch(torch.empty(32, 8, 8, 3, dtype=torch.uint8), *torch.empty(2, 32, dtype=torch.int64))
    step = TrainingStep(config, model.train(), Execution(torch.device("meta")), total_steps=40)
    with OneDevice():
        step(batch)
    with pytest.raises(RuntimeError, match="meta"):
        step.step.item()
    with OneDevice(), pytest.raises(AssertionError):
        step.step.copy_(torch.ones((), dtype=torch.int64))


def test_the_tensors_of_the_step_keep_their_memory(digits):
    """CUDA graphs are replayed on the same memory."""
    loader, step = make(digits, tiny_config())
    places = [tensor.data_ptr() for tensor in step.tensors()]
    for batch in loader.batches(0, 2):
        step(batch)
    step.read_metrics()
    step.load_state_dict(step.state_dict())
    step.model.load_state_dict(step.model.state_dict())
    assert [tensor.data_ptr() for tensor in step.tensors()] == places
    assert len(set(places)) == len(places)
