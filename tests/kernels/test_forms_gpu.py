"""The Triton kernels on a real GPU: against the float64 oracle, bit for bit again, and without waiting."""

import pytest
import torch
from forms import Batch, assert_within_budget, make_batch
from hscl_kernels import hscl_loss, info_nce, prototype_similarity
from oracle import Problem, batch
from oracle import assert_within_budget as assert_within_tight_budget

pytestmark = pytest.mark.gpu
DTYPES = [torch.float32, torch.float16, torch.bfloat16]


def on_gpu(*arguments, **options):
    return Batch(*(tensor.cuda() for tensor in make_batch(*arguments, **options)))


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("rows", [2, 100, 513, 4096])
@pytest.mark.parametrize("tau", [0.5, 0.02])
def test_values_and_gradients(dtype, rows, tau):
    assert_within_budget(on_gpu(rows, 128), "triton", dtype, temperature=tau)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize(("features", "prototypes"), [(16, 1), (96, 3), (192, 64), (256, 256)])
def test_any_width_and_number_of_prototypes(dtype, features, prototypes):
    assert_within_budget(on_gpu(700, features, prototypes), "triton", dtype)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("rows", [100, 4096])
@pytest.mark.parametrize("operation", [hscl_loss, info_nce, prototype_similarity])
def test_every_operation_in_tiles_of_full_size(dtype, rows, operation):
    z, v, ids, roles = batch(dtype, rows=rows, features=128)
    each = torch.randn(rows, generator=torch.Generator().manual_seed(1))
    scale = 256.0 if dtype == torch.float16 else 1.0  # as in training: a mean's gradients would underflow
    problem = {
        hscl_loss: Problem(hscl_loss, (z, v), (ids, roles), tuple(scale * torch.tensor([1.7, -0.6, 0.8, 1.3]))),
        info_nce: Problem(info_nce, (z,), (ids,), (each,), {"reduction": "none"}),
        prototype_similarity: Problem(prototype_similarity, (z, v), (), (each,)),
    }[operation]
    assert_within_tight_budget(problem.map(torch.Tensor.cuda), "triton")


@pytest.mark.parametrize("dtype", DTYPES)
def test_every_call_gives_the_same_bits(dtype):
    batch = on_gpu(5000, 128)
    results = []
    for _ in range(2):
        z = batch.embeddings.to(dtype).requires_grad_()
        loss = hscl_loss(z, batch.prototypes.float(), batch.ids, batch.roles)
        loss.total.backward()
        results.append([*loss, z.grad])
    assert all(torch.equal(first, again) for first, again in zip(*results, strict=True))


def test_nothing_waits_for_the_device():
    batch = on_gpu(1024, 128)
    z, v = batch.embeddings.bfloat16().requires_grad_(), batch.prototypes.float().requires_grad_()

    def step():
        loss = hscl_loss(z, v, batch.ids, batch.roles).total + info_nce(z, batch.ids)
        (loss + prototype_similarity(z, v)[0].sum()).backward()

    step()  # compiles
    torch.cuda.set_sync_debug_mode("error")
    try:
        step()
    finally:
        torch.cuda.set_sync_debug_mode("default")
