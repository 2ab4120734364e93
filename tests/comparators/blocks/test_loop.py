import pytest
import torch
from comparators.comparing import NoProgress
from comparators.interrupting import GoOn, StopAt
from torch import nn

from hscl_fast.comparators.blocks.batches import Batches
from hscl_fast.comparators.blocks.loop import Loop, Stage, adam, sgd
from hscl_fast.comparators.blocks.rates import constant, cosine, milestones
from hscl_fast.errors import UsageError
from hscl_fast.interrupt import Interrupted

STEPS = (5, 4, 3)  # of the stages below
DATA = torch.randn(20, 3, generator=torch.Generator().manual_seed(1))


class Model(nn.Module):
    """A layer with batch normalisation and dropout, its running average, and a centre that is computed once."""

    def __init__(self):
        super().__init__()
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(0)
            self.layer = nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4), nn.Dropout(0.3), nn.Linear(4, 2))
        self.average = torch.optim.swa_utils.AveragedModel(
            self.layer, multi_avg_fn=torch.optim.swa_utils.get_ema_multi_avg_fn(0.9), use_buffers=True
        )
        self.register_buffer("centre", torch.zeros(2))


def train(progress, seed=0):
    model = Model()
    batches = Batches(torch.arange(20), 6, seed=seed, name="all")
    parameters = list(model.layer.parameters())

    def loss(step):
        distance = (model.layer(DATA[batches.at(step)]) - model.centre).square().sum(1).mean()
        return {"loss": distance, "noise": torch.rand(())}

    def centre():
        model.centre.copy_(model.layer(DATA).detach().mean(0) + torch.rand(2))

    def average():
        model.average.update_parameters(model.layer)

    stages = [
        Stage("first", STEPS[0], loss, parameters, adam(1e-2), cosine(warmup=0.4)),
        Stage("second", STEPS[1], loss, parameters, sgd(1e-2, nesterov=True), milestones(0.5), prepare=centre),
        Stage("third", STEPS[2], loss, parameters, adam(1e-2, weight_decay=0.1), after=average),
    ]
    Loop(model, seed=seed, progress=progress).run(stages)
    return model.state_dict()


def same(first, second):
    return all(torch.equal(first[name], second[name]) for name in first)


@pytest.mark.parametrize("step", range(1, sum(STEPS) + 1))
def test_an_interrupted_training_goes_on_bit_for_bit(step):
    stop = StopAt(step)
    with pytest.raises(Interrupted):
        train(stop)
    state = torch.get_rng_state()
    go_on = GoOn(stop.kept)
    assert same(train(go_on), train(NoProgress()))
    assert [done for done, *_ in go_on.reported] == list(range(step + 1, sum(STEPS) + 1))
    assert torch.equal(torch.get_rng_state(), state)


def test_every_step_is_reported_with_its_losses():
    progress = GoOn(None)
    train(progress)
    assert progress.reported == [(step + 1, 12, ["loss", "noise"]) for step in range(12)]


def test_what_is_kept_for_going_on_is_not_changed_by_it():
    stop = StopAt(3)
    with pytest.raises(Interrupted):
        train(stop)
    before = {name: tensor.clone() for name, tensor in stop.kept.items()}
    train(GoOn(stop.kept))
    assert same(before, stop.kept)


def test_the_seed_decides():
    assert same(train(NoProgress(), seed=1), train(NoProgress(), seed=1))
    assert not same(train(NoProgress(), seed=1), train(NoProgress(), seed=2))


def test_weights_that_are_not_finite_are_an_error():
    model = nn.Linear(1, 1)
    stage = Stage("only", 1, lambda step: {"loss": model.weight.sum() * torch.nan}, [*model.parameters()], adam(1.0))
    with pytest.raises(UsageError, match=r"stage 'only' .* Lower --optim\.learning_rate"):
        Loop(model, seed=0, progress=NoProgress()).run([stage])


def test_every_pass_has_every_image_once_and_another_order():
    batches = Batches(torch.arange(100, 110), 4, seed=0, name="x")
    drawn = torch.cat([batches.at(step) for step in range(5)])
    first, second = drawn[:10].tolist(), drawn[10:].tolist()
    assert sorted(first) == sorted(second) == list(range(100, 110))
    assert first != second
    assert batches.per_pass == 3
    assert torch.equal(batches.at(1), drawn[4:8])  # whatever was drawn before
    assert Batches(torch.arange(100, 110), 4, seed=0, name="y").at(0).tolist() != first[:4]


def test_few_images_fill_a_batch_by_coming_again():
    drawn = Batches(torch.tensor([7, 9]), 5, seed=0, name="x").at(3)
    assert sorted(drawn.tolist()) in ([7, 7, 7, 9, 9], [7, 7, 9, 9, 9])


def test_rates():
    warm = cosine(warmup=0.2)
    assert [warm(0, 10), warm(1, 10), warm(2, 10), warm(6, 10)] == pytest.approx([0.5, 1, 1, 0.5])
    step = milestones(0.5, 0.75)
    assert [step(n, 8) for n in (0, 3, 4, 6)] == pytest.approx([1, 1, 0.1, 0.01])
    assert constant(3, 8) == 1
