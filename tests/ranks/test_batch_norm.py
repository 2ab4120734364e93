"""Normalising over the rows of all ranks equals normalising all rows in one process."""

import copy
import itertools

import pytest
import torch
import torch.distributed as dist
from conftest import tiny_config
from spawn_ranks import assert_equal_on_all, spawn
from timm.layers import BatchNormAct2d
from torch import nn

from hscl_fast.ranks.batch_norm import GlobalBatchNorm, convert_batch_norm
from hscl_fast.ranks.group import Ranks, start_ranks

LAYERS = {
    "plain": lambda channels: nn.BatchNorm2d(channels),
    "frozen": lambda channels: nn.BatchNorm2d(channels, affine=False),
    "activating": lambda channels: BatchNormAct2d(channels, eps=1e-3, momentum=0.3),
    "cumulative": lambda channels: nn.BatchNorm2d(channels, momentum=None),
    "rows": lambda channels: nn.BatchNorm1d(channels),
}
DTYPES = (torch.float32, torch.bfloat16, torch.float16)


def make_layer(name, channels=6):
    torch.manual_seed(1)
    layer = LAYERS[name](channels)
    for parameter in layer.parameters():
        nn.init.normal_(parameter)
    return layer


def make_input(name, ranks, dtype):
    """Channels far from zero, of tiny and of huge deviation, and a constant one; few rows where they have no pixels."""
    shape = (2 * ranks, 6) if name == "rows" else (4 * ranks, 6, 5, 3)
    generator = torch.Generator().manual_seed(2)
    shift = torch.tensor([0.0, 30.0, 0.0, 0.0, -2.0, 3.0]).view(1, 6, *[1] * (len(shape) - 2))
    spread = torch.tensor([1.0, 0.1, 1e-3, 100.0, 1.0, 0.0]).view_as(shift)
    x = torch.randn(shape, generator=generator) * spread + shift
    gradient = torch.randn(shape, generator=generator)
    if x.dim() == 4:
        x, gradient = (tensor.to(memory_format=torch.channels_last) for tensor in (x, gradient))
    return x.to(dtype), gradient.to(dtype)


def results(layer, x, gradient):
    """Output and gradient of the input; gradients of the parameters; buffers."""
    x = x.clone().requires_grad_()
    y = layer(x)
    y.backward(gradient)
    own = [parameter.grad for parameter in layer.parameters()]
    buffers = [layer.running_mean, layer.running_var]
    return [y.detach(), x.grad], own, [buffer.clone() for buffer in buffers]


def by_channel(values):
    """The largest value of each channel."""
    return values.abs() if values.dim() == 1 else values.abs().amax([dim for dim in range(values.dim()) if dim != 1])


def check_layers():
    with start_ranks(tiny_config()) as ranks:
        for name, dtype in itertools.product(LAYERS, DTYPES):
            assert_equal_on_all(check_layer(ranks, name, dtype), ranks)


def check_layer(ranks, name, dtype, device="cpu"):
    x, gradient = (tensor.to(device) for tensor in make_input(name, ranks.size, dtype))
    here = slice(ranks.rank * len(x) // ranks.size, (ranks.rank + 1) * len(x) // ranks.size)
    exact = results(make_layer(name).to(device).double(), x.double(), gradient.double())
    theirs = results(make_layer(name).to(device), x, gradient)
    layer = GlobalBatchNorm(make_layer(name).to(device), ranks.group)
    rows, parameters, buffers = results(layer, x[here], gradient[here])
    assert all(row.dtype == dtype and row.stride() == x[here].stride() for row in rows)
    for gradient_here in parameters:
        dist.all_reduce(gradient_here, group=ranks.group)
    assert layer.num_batches_tracked == 1
    wholes = [*((row, slice(None)) for row in (*exact[1], *exact[2])), *((row, here) for row in exact[0])]
    peers = [*theirs[1], *theirs[2], *(row[here] for row in theirs[0])]
    for ours, peer, (wanted, part) in zip([*parameters, *buffers, *rows], peers, wholes, strict=True):
        wanted = wanted[part]
        error, budget = (by_channel(found.double() - wanted) for found in (ours, peer))
        # The allowance is for rounding where PyTorch happens to be exact.
        allowed = 3 * budget + 2 * torch.finfo(ours.dtype).eps * by_channel(wanted) + 1e-6
        assert (error <= allowed).all(), (name, dtype, error, allowed)
    return buffers


@pytest.mark.parametrize("ranks", [2, 3])
def test_ranks_normalise_as_one_process(ranks):
    spawn(check_layers, ranks)


@pytest.mark.gpu
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("name", LAYERS)
def test_one_gpu_normalises_like_pytorch(name, dtype, tmp_path):
    torch.cuda.set_device(0)
    dist.init_process_group("nccl", init_method=f"file://{tmp_path / 'rendezvous'}", rank=0, world_size=1)
    try:
        check_layer(Ranks(group=dist.group.WORLD), name, dtype, "cuda")
    finally:
        dist.destroy_process_group()


def check_conversion():
    with start_ranks(tiny_config()) as ranks:
        model = nn.Sequential(nn.Conv2d(3, 4, 1), nn.BatchNorm2d(4), nn.Sequential(BatchNormAct2d(4)))
        untracked = nn.BatchNorm2d(4, track_running_stats=False)
        model.append(untracked).eval()
        before = copy.deepcopy(model)
        parameters, buffers = list(model.parameters()), list(model.buffers())
        convert_batch_norm(model, ranks.group)
        assert [type(layer) for layer in (model[1], model[2][0])] == [GlobalBatchNorm, GlobalBatchNorm]
        assert model[3] is untracked
        assert all(one is other for one, other in zip(parameters, model.parameters(), strict=True))
        assert all(one is other for one, other in zip(buffers, model.buffers(), strict=True))
        assert list(model.state_dict()) == list(before.state_dict())
        if ranks.is_first:  # scoring is the first rank's alone
            x = torch.randn(2, 3, 4, 4)
            assert torch.equal(model(x), before(x))


def test_conversion_keeps_the_tensors_and_eval_does_not_communicate():
    spawn(check_conversion, 2)
