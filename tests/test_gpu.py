"""The same numbers on a GPU as on the CPU, in the precisions only a GPU runs fast."""

import pytest
import torch
from conftest import tiny_config
from hscl_kernels import augment_views, hscl_loss
from spawn_ranks import assert_equal_on_all, spawn

from hscl_fast.config.sections import AugmentConfig
from hscl_fast.data.loaders.order import Share
from hscl_fast.data.loaders.resident import ResidentLoader
from hscl_fast.data.open import load_split
from hscl_fast.device import Execution, resolve_precision
from hscl_fast.method.augment import draw_views
from hscl_fast.method.network import build_network
from hscl_fast.ranks.group import SINGLE, start_ranks
from hscl_fast.training.step import TrainingStep

pytestmark = pytest.mark.gpu
CPU = torch.device("cpu")


@pytest.fixture
def cuda():
    torch.backends.cudnn.deterministic = True
    return torch.device("cuda")


def train(split, device, precision, steps, *, compile="off", ranks=SINGLE):
    config = tiny_config()
    model = build_network(config.model, 8, rotation_head=False, seed=0).to(device)
    model = model.to(memory_format=torch.channels_last)
    loader = ResidentLoader(split.training, 32, seed=0, device=device, share=Share(ranks.rank, ranks.size))
    step = TrainingStep(config, model, Execution(device, precision, compile), total_steps=steps, ranks=ranks)
    step.guard.scale.fill_(256.0 if step.guard.scaled else 1.0)
    curve = []
    for batch in loader.batches(0, steps):
        step(batch)
        curve.append(step.read_metrics()["total"])
    return curve, {name: tensor.cpu() for name, tensor in model.state_dict().items()}


def test_views_are_those_of_the_cpu(cuda):
    images = torch.randint(0, 256, (64, 32, 32, 3), dtype=torch.uint8)
    views = []
    for device in (CPU, cuda):
        zero = torch.zeros((), dtype=torch.int64, device=device)
        indices = torch.arange(64, device=device)
        parameters = draw_views(AugmentConfig(), indices, seed=zero, step=zero, size=(32, 32))
        views.append(augment_views(images.to(device), parameters).cpu())
    torch.testing.assert_close(views[1], views[0], atol=2e-5, rtol=0)


def test_the_objective_is_that_of_the_cpu(cuda):
    torch.backends.cuda.matmul.allow_tf32 = False
    z, v = torch.randn(512, 128), torch.randn(4, 128)
    roles, ids = torch.randint(-1, 3, (512,)), torch.arange(256).repeat(2)
    terms = [torch.stack(hscl_loss(*(t.to(d) for t in (z, v, ids, roles)))[:4]).cpu() for d in (CPU, cuda)]
    torch.testing.assert_close(terms[1], terms[0], atol=1e-5, rtol=1e-5)


def test_float32_training_follows_the_cpu(cuda, digits):
    curves = [train(digits, device, torch.float32, 5)[0] for device in (CPU, cuda)]
    assert curves[1] == pytest.approx(curves[0], rel=0.02)


@pytest.mark.parametrize("mode", ["default", "reduce-overhead"])
def test_compiled_training_follows_eager(cuda, digits, mode):
    torch._dynamo.reset()
    torch._dynamo.utils.counters.clear()
    eager = train(digits, cuda, torch.float32, 6)[0]
    assert train(digits, cuda, torch.float32, 6, compile=mode)[0] == pytest.approx(eager, rel=0.02)
    assert torch._dynamo.utils.counters["inductor"]["cudagraph_skips"] == 0
    torch._dynamo.reset()


@pytest.mark.parametrize("precision", [torch.bfloat16, torch.float16])
def test_half_precision_follows_float32(cuda, digits, precision):
    full, half = (train(digits, cuda, dtype, 5)[0] for dtype in (torch.float32, precision))
    assert half == pytest.approx(full, rel=0.05)


def train_on_two():
    """A compiled step on this rank's GPU: the losses are those of one process."""
    config = tiny_config(runtime={"device": "cuda"})
    split = load_split(config.data)
    with start_ranks(config) as ranks:
        device = torch.device("cuda", ranks.local_rank)
        curve, state = train(split, device, torch.float32, 5, compile="default", ranks=ranks)
        assert curve == pytest.approx(train(split, CPU, torch.float32, 5)[0], rel=0.02)
        assert_equal_on_all(state.values(), ranks)


@pytest.mark.skipif(torch.cuda.device_count() < 2, reason="needs two GPUs")
def test_two_gpus_train_as_one_process():
    spawn(train_on_two, 2)


def test_two_runs_are_the_same_bits(cuda, digits):
    first, again = (train(digits, cuda, resolve_precision("auto", cuda), 5)[1] for _ in range(2))
    assert all(torch.equal(first[name], again[name]) for name in first)


def test_the_step_waits_for_nothing(cuda, digits):
    config = tiny_config()
    model = build_network(config.model, 8, rotation_head=False, seed=0).to(cuda)
    loader = ResidentLoader(digits.training, 32, seed=0, device=cuda)
    step = TrainingStep(config, model, Execution(cuda), total_steps=8)
    batches = list(loader.batches(0, 3))
    step(batches[0])
    torch.cuda.set_sync_debug_mode("error")
    try:
        for batch in batches[1:]:
            step(batch)
    finally:
        torch.cuda.set_sync_debug_mode("default")
