"""A batch spread over gloo ranks: the loss and gradients of one process, with nothing communicated in backward."""

import itertools

import pytest
import torch
import torch.distributed as dist
from forms import make_batch
from hscl_kernels import hscl_loss
from hscl_kernels.backends import HAS_TRITON
from hscl_kernels.contrast import sharded
from hscl_kernels.selfcheck.problems import _OneRank
from spawn_ranks import start

needs_triton = pytest.mark.skipif(not HAS_TRITON, reason="Triton is not installed")
CASES = list(itertools.product([0.5, 0.02], ["expectation", "multinomial"]))


def batch_of(rows):
    batch = make_batch(rows, 16, seed=3)
    return batch._replace(embeddings=batch.embeddings.float(), prototypes=batch.prototypes.float())


def value_and_gradients(batch, rows=slice(None), **options):
    z, v = batch.embeddings[rows].clone().requires_grad_(), batch.prototypes.clone().requires_grad_()
    loss = hscl_loss(z, v, batch.ids[rows], batch.roles[rows], lambda_prototype=0.7, **options)
    (2 * loss.total + loss.normal_to_abnormal).backward()
    return loss, z.grad, v.grad


def options_of(batch, tau, estimator):
    sampled = estimator == "multinomial"
    return {"temperature": tau, "na_estimator": estimator, "uniforms": batch.uniforms if sampled else None}


def rank_main(rank, ranks, backend, rows, path):
    """Compare this rank's results with those of one process; count collectives."""
    dist.init_process_group("gloo", init_method=f"file://{path}", rank=rank, world_size=ranks)
    gathered = []
    gather = dist.all_gather_into_tensor

    def counted(out, own, **options):
        gathered.append(tuple(own.shape))
        return gather(out, own, **options)

    dist.all_gather_into_tensor = counted
    batch = batch_of(rows)
    own = rows // ranks
    here = slice(rank * own, (rank + 1) * own)
    for tau, estimator in CASES:
        options = options_of(batch, tau, estimator)
        alone, dz, dv = value_and_gradients(batch, backend="cpu", **options)
        gathered.clear()
        z, v = batch.embeddings[here].clone().requires_grad_(), batch.prototypes.clone().requires_grad_()
        facts = (batch.ids[here], batch.roles[here])
        spread = hscl_loss(z, v, *facts, lambda_prototype=0.7, group=dist.group.WORLD, backend=backend, **options)
        # units; similarities; ids and roles; log sums
        calls = [(own, 16), (own,), (own, 2), (own, 4)] if ranks > 1 else []
        assert gathered == calls, gathered
        (2 * spread.total + spread.normal_to_abnormal).backward()
        assert gathered == calls, "backward communicates"
        torch.testing.assert_close(torch.stack(spread[:4]), torch.stack(alone[:4]), rtol=2e-5, atol=1e-6)
        torch.testing.assert_close(spread.weights, alone.weights[here], rtol=1e-5, atol=1e-6)
        torch.testing.assert_close(z.grad, dz[here], rtol=0, atol=2e-5 * float(dz.abs().max()))
        summed = v.grad.clone()
        dist.all_reduce(summed)
        torch.testing.assert_close(summed, dv, rtol=0, atol=2e-5 * float(dv.abs().max()))
        if ranks > 1:
            assert not torch.allclose(v.grad, dv)
    dist.barrier()  # a rank that leaves early breaks the connections of others
    dist.destroy_process_group()


@pytest.mark.parametrize("ranks", [1, 2, 4])
def test_ranks_agree_with_one_process(ranks, tmp_path):
    start(rank_main, ranks, "cpu", 120, str(tmp_path / "rendezvous"))


def test_two_ranks_in_triton(tmp_path):
    start(rank_main, 2, "triton", 40, str(tmp_path / "rendezvous"))


@needs_triton
@pytest.mark.parametrize("wrong", [2**32, -(2**31) - 1])
def test_an_id_that_does_not_fit_in_32_bits_shows_in_triton(wrong):
    """As in the form of one GPU; there, a role that does not exist shows in the same way."""
    batch = batch_of(24)
    ids = batch.ids.clone()
    ids[5] = wrong
    loss = hscl_loss(*batch[:2], ids, batch.roles, group=_OneRank(), backend="triton")
    assert all(term.isnan() for term in loss[:4])
    rows = sharded._is_readable(torch.tensor([0, 0, wrong, 3]), torch.tensor([-1, 3, 0, 2]))
    assert rows.tolist() == [True, False, False, True]


def compiled_main(rank, ranks, rows, path):
    """Compare a compiled step with the eager one on the same ranks, several times without another compilation."""
    dist.init_process_group("gloo", init_method=f"file://{path}", rank=rank, world_size=ranks)
    here = slice(rank * rows // ranks, (rank + 1) * rows // ranks)

    def step(z, v, ids, roles):
        return hscl_loss(z, v, ids, roles, group=dist.group.WORLD, backend="cpu").total

    compiled = torch.compile(step, fullgraph=True, backend="aot_eager")
    with torch._dynamo.config.patch(error_on_recompile=True):
        for seed in range(3):
            batch = make_batch(rows, 16, seed=seed)
            results = []
            for function in (step, compiled):
                z = batch.embeddings[here].float().requires_grad_()
                v = batch.prototypes.float().requires_grad_()
                total = function(z, v, batch.ids[here].clone(), batch.roles[here].clone())
                total.backward()
                results.append((total.detach(), z.grad, v.grad))
            for eager, ours in zip(*results, strict=True):
                torch.testing.assert_close(ours, eager)
    dist.barrier()
    dist.destroy_process_group()


@pytest.mark.slow
def test_two_ranks_compiled_whole(tmp_path):
    start(compiled_main, 2, 40, str(tmp_path / "rendezvous"))


@pytest.fixture
def group(tmp_path):
    dist.init_process_group("gloo", init_method=f"file://{tmp_path}/rendezvous", rank=0, world_size=1)
    yield dist.group.WORLD
    dist.destroy_process_group()


def test_compiled_whole(group):
    batch = batch_of(24)

    def step(z, v):
        return hscl_loss(z, v, batch.ids, batch.roles, group=group, backend="cpu").total

    torch._dynamo.reset()
    for function in (step, torch.compile(step, fullgraph=True, backend="aot_eager")):
        z, v = batch.embeddings.clone().requires_grad_(), batch.prototypes.clone().requires_grad_()
        total = function(z, v)
        total.backward()
        alone = hscl_loss(batch.embeddings, batch.prototypes, batch.ids, batch.roles).total
        torch.testing.assert_close(total.detach(), alone)
        assert z.grad.any()


def test_unsupported_calls_with_ranks(group):
    batch = batch_of(24)
    arguments = (batch.embeddings, batch.prototypes, batch.ids, batch.roles)
    with pytest.raises(ValueError, match="group needs backend 'cpu' or 'triton'"):
        hscl_loss(*arguments, group=group, backend="reference")
    z = batch.embeddings.clone().requires_grad_()
    with pytest.raises(RuntimeError, match="second derivatives"):
        torch.autograd.grad(hscl_loss(z, *arguments[1:], group=group).total, z, create_graph=True)


def test_ranks_need_the_same_draws(monkeypatch):
    batch = batch_of(24)
    two = type("Group", (), {"size": lambda self: 2, "rank": lambda self: 0})()
    with pytest.raises(ValueError, match="give uniforms"):
        hscl_loss(*batch[:4], na_estimator="multinomial", group=two)
    with pytest.raises(ValueError, match=r"expected torch.float64 \[2, 48\]"):
        hscl_loss(*batch[:4], na_estimator="multinomial", group=two, uniforms=batch.uniforms)
