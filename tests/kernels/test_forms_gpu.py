"""The Triton kernels on a real GPU: against the float64 oracle, bit for bit again, and without waiting."""

import pytest
import torch
from forms import Batch, assert_within_budget, make_batch, objective
from hscl_kernels import hscl_loss, info_nce, prototype_similarity
from hscl_kernels.selfcheck import OPERATIONS, problems

pytestmark = pytest.mark.gpu
DTYPES = [torch.float32, torch.float16, torch.bfloat16]
GPU = torch.device("cuda")


def on_gpu(*arguments, **options):
    return Batch(*(tensor.cuda() for tensor in make_batch(*arguments, **options)))


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("rows", [2, 100, 513, 4096])
@pytest.mark.parametrize("tau", [0.5, 0.02])
def test_values_and_gradients(dtype, rows, tau):
    assert_within_budget(scaled(make_batch(rows, 128), dtype, temperature=tau), "triton", dtype, GPU)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize(("features", "prototypes"), [(16, 1), (96, 3), (192, 64), (256, 256)])
def test_any_width_and_number_of_prototypes(dtype, features, prototypes):
    assert_within_budget(scaled(make_batch(700, features, prototypes), dtype), "triton", dtype, GPU)


def scaled(batch, dtype, **options):
    """The objective, in float16 times a loss scale as in training: a mean's gradients would underflow."""
    return objective(batch, (2.0**10 if dtype == torch.float16 else 1.0, None, None, None), **options)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("rows", [100, 4096])
@pytest.mark.parametrize(
    "operation", [name for name in OPERATIONS if name not in ("augment_views", "draw_view_parameters")]
)
def test_every_operation_in_tiles_of_full_size(dtype, rows, operation):
    batch = problems.make_batch(problems.Case(rows=rows, features=128))
    assert_within_budget(problems.make_loss(operation, batch, 0.5), "triton", dtype, GPU)


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


@pytest.mark.parametrize("dtype", DTYPES)
def test_a_compiled_step_that_launches_the_kernels_itself_gives_what_an_eager_one_does(dtype):
    """Its numbers pass through float64, and integers that are 1 are constants; neither may change a result by much."""
    batch = on_gpu(1024, 128, prototypes=3)

    def step(z, v):
        similarity = prototype_similarity(z, v)[0].sum()
        return hscl_loss(z, v, batch.ids, batch.roles).total + info_nce(z, batch.ids) + similarity

    results = []
    for function in (step, torch.compile(step, fullgraph=True)):
        z = batch.embeddings.to(dtype).requires_grad_()
        v = batch.prototypes.float().requires_grad_()
        total = function(z, v)
        total.backward()
        results.append((total.detach(), z.grad, v.grad))
    for eager, compiled in zip(*results, strict=True):
        bound = 4 * torch.finfo(dtype).eps * float(eager.abs().max())
        torch.testing.assert_close(compiled, eager, rtol=1e-3, atol=bound)
