"""The operations as torch.library sees them: compiled, differentiated, autocast, checked; and how they are launched."""

import contextlib
import os
import subprocess
import sys

import pytest
import torch
import torch._inductor.config
from conftest import ROOT
from forms import make_batch
from hscl_kernels import backends, hscl_loss, info_nce, launch, prototype_similarity, registration
from hscl_kernels.contrast import (
    backward_kernels,
    few_rows_kernels,
    forward_kernels,
    online_kernels,
    row_terms_kernels,
    sharded,
)
from hscl_kernels.contrast import op as contrast_op
from hscl_kernels.contrast import triton_form as contrast_form
from hscl_kernels.prototypes import op as prototypes_op
from hscl_kernels.prototypes import triton_form as prototype_form
from hscl_kernels.prototypes import triton_kernels as prototype_kernels
from hscl_kernels.views import op as views_op
from torch._dynamo.testing import CompileCounter
from torch.library import CustomOpDef
from torch.utils._python_dispatch import TorchDispatchMode

KERNELS = (forward_kernels, few_rows_kernels, row_terms_kernels, backward_kernels, online_kernels, prototype_kernels)
BACKENDS = ["cpu", "triton"]
OPS = torch.ops.hscl_kernels


def inputs(rows=20, features=16, dtype=torch.float32, prototypes=3):
    batch = make_batch(rows, features, prototypes)
    return batch.embeddings.to(dtype), batch.prototypes.to(dtype), batch.ids, batch.roles, batch.uniforms


def leaves(*tensors):
    return [tensor.detach().clone().requires_grad_() for tensor in tensors]


@pytest.mark.parametrize("backend", BACKENDS)
def test_opcheck(backend):
    z, v, ids, roles, uniforms = inputs()
    options = (0.5, 1.0, 0.5, 0.4, backend)
    torch.library.opcheck(OPS.info_nce, (*leaves(z), ids, 0.5, backend))
    torch.library.opcheck(OPS.hscl_loss, (*leaves(z, v), ids, roles, None, *options))
    torch.library.opcheck(OPS.hscl_loss, (*leaves(z, v), ids, roles, uniforms, *options))
    torch.library.opcheck(OPS.prototype_similarity, (*leaves(z, v), backend))
    saved = OPS.hscl_loss(z, v, ids, roles, None, *options)[5:]
    one = torch.ones(())
    arguments = (one, None, None, one, z, v, ids, roles, *saved, 0.5, 1.0, 0.5, backend)
    torch.library.opcheck(OPS.hscl_loss_backward, arguments)
    losses, *saved = OPS.info_nce(z, ids, 0.5, backend)
    torch.library.opcheck(OPS.info_nce_backward, (losses, z, ids, *saved, 0.5, backend))
    similarity, *saved = OPS.prototype_similarity(z, v, backend)
    torch.library.opcheck(OPS.prototype_similarity_backward, (similarity, z, v, *saved, backend))
    facts = (torch.nn.functional.normalize(z), ids, roles, torch.rand(20))
    torch.library.opcheck(OPS.row_log_sums, (*facts, 5, 15, False, backend))
    coefficients = torch.rand(4, 20)
    torch.library.opcheck(OPS.unit_gradients, (one, one, *facts, coefficients, 5, 15, 0.5, backend))


INDUCTOR = pytest.param("cpu", "inductor", marks=pytest.mark.slow)  # it compiles C++


@torch._inductor.config.patch(fx_graph_cache=False)  # the cache would give code for another ATEN_CPU_CAPABILITY
@pytest.mark.parametrize(("backend", "compiler"), [("cpu", "aot_eager"), INDUCTOR, ("triton", "aot_eager")])
def test_compiled_whole_without_recompilation(backend, compiler):
    def step(z, v, ids, roles):
        loss = hscl_loss(z * 2, v, ids, roles, backend=backend)
        similarity, _ = prototype_similarity(z, v, backend=backend)
        return loss.total + info_nce(z, ids, 0.1, backend=backend) + similarity.mean()

    torch._dynamo.reset()
    compiled = torch.compile(step, fullgraph=True, backend=compiler)
    with torch._dynamo.config.patch(error_on_recompile=True):
        for seed in range(3):
            batch = make_batch(20, 16, seed=seed)
            arguments = (batch.embeddings.float(), batch.prototypes.float(), batch.ids, batch.roles)
            results = []
            for function in (step, compiled):
                z, v = leaves(*arguments[:2])
                total = function(z, v, *arguments[2:])
                total.backward()
                results.append((total.detach(), z.grad, v.grad))
            for eager, ours in zip(*results, strict=True):
                torch.testing.assert_close(ours, eager, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("backend", [*BACKENDS, "reference"])
def test_second_derivatives(backend):
    z, v, ids, roles, _ = inputs()
    for function in (
        lambda z: hscl_loss(z, v, ids, roles, backend=backend).total,
        lambda z: info_nce(z, ids, backend=backend),
        lambda z: prototype_similarity(z, v, backend=backend)[0].sum(),
    ):
        (leaf,) = leaves(z)
        (gradient,) = torch.autograd.grad(function(leaf), leaf, create_graph=True)
        if backend == "reference":
            assert torch.isfinite(torch.autograd.grad(gradient.square().sum(), leaf)[0]).all()
        else:
            with pytest.raises(RuntimeError, match=r"second derivatives.*backend='reference'"):
                torch.autograd.grad(gradient.square().sum(), leaf)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float16])
@pytest.mark.parametrize("backend", BACKENDS)
def test_autocast_changes_nothing(backend, dtype):
    """Half precision is not cast up, to a slower kernel, nor float32 down within an operation; sums are float32."""

    def results():
        z, v, ids, roles, _ = inputs(dtype=dtype)
        a, b = leaves(z, v)
        loss = hscl_loss(a, b, ids, roles, backend=backend)
        plain = info_nce(a, ids, backend=backend)
        similarity, _ = prototype_similarity(a, b, backend=backend)
        (loss.total + plain + similarity.sum()).backward()
        assert loss.total.dtype == plain.dtype == similarity.dtype == torch.float32
        return loss.total, plain, similarity, a.grad, b.grad

    with torch.autocast("cpu", dtype=torch.float16):
        found = results()
    assert all(torch.equal(ours, expected) for ours, expected in zip(found, results(), strict=True))


@pytest.mark.parametrize("backend", BACKENDS)
def test_any_number_of_rows_is_compiled_once(backend):
    frames = CompileCounter()

    def step(z, v, ids, roles):
        total = hscl_loss(z, v, ids, roles, backend=backend).total
        return total + info_nce(z, ids, backend=backend) + prototype_similarity(z, v, backend=backend)[0].mean()

    torch._dynamo.reset()
    compiled = torch.compile(step, fullgraph=True, backend=frames)
    for rows in (20, 26, 32, 38):
        z, v, ids, roles, _ = inputs(rows)
        for rowwise in (z, ids, roles):
            torch._dynamo.mark_dynamic(rowwise, 0)  # an error where something specialises on the number
        torch.testing.assert_close(compiled(z, v, ids, roles), step(z, v, ids, roles))
    assert frames.frame_count == 1


def test_an_operation_runs_on_the_device_of_its_tensors(monkeypatch):
    """Triton launches on the current device, whatever the tensors' own."""
    entered, ran_in = [], []

    @contextlib.contextmanager
    def device(which):
        entered.append(which)
        yield
        entered.pop()

    monkeypatch.setattr(torch.cuda, "device", device)
    run = registration.on_device(lambda *given, **options: ran_in.append([*entered]))
    second = type("OnSecond", (torch.Tensor,), {"device": torch.device("cuda:1")})
    run(None, 0.5, torch.ones(2).as_subclass(second))
    run(backend="cpu", z=torch.ones(2))
    assert ran_in == [[torch.device("cuda:1")], []]


@pytest.mark.parametrize("name", ["info_nce", "hscl_loss", "prototype_similarity", "augment_views", "row_log_sums"])
def test_every_operation_is_guarded(name):
    """A function that is registered some other way would launch on the wrong device."""
    modules = (contrast_op, prototypes_op, views_op, sharded)
    operations = [value for module in modules for value in vars(module).values() if isinstance(value, CustomOpDef)]
    assert name in {operation._name for operation in operations}
    assert all(hasattr(operation._init_fn, "__wrapped__") for operation in operations)


@pytest.mark.parametrize("backend", BACKENDS)
def test_weights_and_index_carry_no_gradient(backend):
    z, v, ids, roles, _ = inputs()
    loss = hscl_loss(*leaves(z, v), ids, roles, backend=backend)
    assert loss.total.requires_grad
    assert not loss.weights.requires_grad
    similarity, index = prototype_similarity(*leaves(z, v), backend=backend)
    assert similarity.requires_grad
    assert not index.requires_grad


@pytest.mark.parametrize("backend", BACKENDS)
def test_inference_mode_does_not_disturb_training(backend):
    z, v, ids, roles, _ = inputs()

    def gradient():
        (leaf,) = leaves(z)
        hscl_loss(leaf, v, ids, roles, backend=backend).total.backward()
        return leaf.grad

    before = gradient()
    with torch.inference_mode():
        value = hscl_loss(z, v, ids, roles, backend=backend).total
    assert value.is_inference()
    assert torch.equal(gradient(), before)


@pytest.mark.parametrize("backend", BACKENDS)
def test_every_call_gives_the_same_bits(backend):
    z, v, ids, roles, _ = inputs(90)
    first, again = (hscl_loss(z, v, ids, roles, backend=backend) for _ in range(2))
    assert all(torch.equal(a, b) for a, b in zip(first, again, strict=True))


def test_the_thread_pool_leaves_torch_as_it_was():
    """Two threads give the bits of every call again, from another thread and after a fork; torch keeps its number."""
    program = """
import os, threading, torch
torch.set_num_threads(2)
from hscl_kernels import hscl_loss
z, v = torch.randn(700, 16), torch.randn(2, 16)
ids, roles = torch.arange(350).repeat(2), torch.randint(-1, 3, (700,))
def value():
    leaf = z.clone().requires_grad_()
    loss = hscl_loss(leaf, v, ids, roles).total
    loss.backward()
    return loss.item(), leaf.grad.sum().item()
first = value()
results = [value()]
thread = threading.Thread(target=lambda: results.append(value()))
thread.start(); thread.join()
assert results == [first, first], results
assert torch.get_num_threads() == 2
seen = []
other = threading.Thread(target=lambda: seen.append(torch.get_num_threads()))
other.start(); other.join()
assert seen == [2], seen
reader, writer = os.pipe()
if os.fork() == 0:
    torch.set_num_threads(1)  # as in a worker of DataLoader: OpenMP itself does not survive a fork
    os.write(writer, repr(hscl_loss(z, v, ids, roles).total.item()).encode())
    os._exit(0)
assert abs(float(os.read(reader, 100)) - first[0]) < 1e-5
print("as it was")
"""
    environment = {**os.environ, "PYTHONPATH": str(ROOT / "kernels")}
    command = [sys.executable, "-c", program]
    result = subprocess.run(command, capture_output=True, text=True, timeout=120, env=environment, check=False)
    assert result.stdout == "as it was\n", result.stderr


class OnlyAllocates(TorchDispatchMode):
    """Fail on any operator that is a launch or waits; Triton's launches do not pass through here."""

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        name = function.overloadpacket.__name__
        assert name in ("empty", "empty_strided", "select", "view", "unbind", "detach", "alias"), name
        return function(*args, **(kwargs or {}))


@pytest.fixture
def launches(monkeypatch):
    """Record the names of the kernels that are launched."""
    seen = []
    for module in KERNELS:
        for name in [name for name in vars(module) if name.endswith("_kernel")]:
            kernel = getattr(module, name)

            class Counted:
                def __init__(self, kernel, name):
                    self.kernel, self.name = kernel, name

                def __getitem__(self, grid):
                    seen.append(self.name)
                    return self.kernel[grid]

            monkeypatch.setattr(module, name, Counted(kernel, name))
    return seen


@pytest.mark.parametrize("prototypes", [3, launch.FEW_PROTOTYPES + 1])
@pytest.mark.parametrize(
    ("few", "forward"),
    [(True, ["sweep_forward_to_losses_kernel"]), (False, ["sweep_forward_kernel", "row_terms_kernel"])],
)
def test_two_launches_forward_and_backward_and_nothing_else(monkeypatch, launches, prototypes, few, forward):
    """Of many rows the terms have a launch of their own, as have the gradients of many prototypes."""
    monkeypatch.setattr(launch, "few_rows", lambda rows, device: few)
    z, v, ids, roles, _ = inputs(dtype=torch.float16, prototypes=prototypes)
    upstream = (torch.ones(()), None, None, None)
    saved = contrast_form.hscl_forward(z, v, ids, roles, None, 0.5, 1.0, 0.5, 0.4)[5:]
    contrast_form.hscl_backward(upstream, v, ids, roles, *saved, 0.5, 1.0, 0.5, torch.float16)
    backward = ["sweep_backward_kernel", "input_gradients_kernel"]
    backward += ["prototype_gradients_kernel"] * (prototypes > launch.FEW_PROTOTYPES)
    assert launches == ["unit_rows_kernel", *forward, *backward]


def test_no_operator_of_torch_runs_around_the_launches(monkeypatch):
    for module in KERNELS:
        for name in [name for name in vars(module) if name.endswith("_kernel")]:
            silent = type("Silent", (), {"__getitem__": lambda self, grid: lambda *args, **kwargs: None})()
            monkeypatch.setattr(module, name, silent)
    z, v, ids, roles, _ = inputs()
    upstream = (torch.ones(()), None, None, None)
    with OnlyAllocates():
        saved = contrast_form.hscl_forward(z, v, ids, roles, None, 0.5, 1.0, 0.5, 0.4)[5:]
        contrast_form.hscl_backward(upstream, v, ids, roles, *saved, 0.5, 1.0, 0.5, torch.float32)
        with pytest.raises(AssertionError, match="_local_scalar_dense"):
            upstream[0].item()


@pytest.mark.parametrize("few", [True, False])
def test_every_output_is_written(monkeypatch, few):
    monkeypatch.setattr(launch, "few_rows", lambda rows, device: few)
    z, v, ids, roles, _ = inputs(90)

    def everything():
        a, b = leaves(z, v)
        loss = hscl_loss(a, b, ids, roles, backend="triton")
        loss.total.backward()
        (c,) = leaves(z)
        losses = info_nce(c, ids, reduction="none", backend="triton")
        losses.sum().backward()
        return [*loss, a.grad, b.grad, losses, c.grad]

    monkeypatch.setattr(launch, "processors", lambda device: 1)
    clean = everything()
    empty = torch.empty

    def poisoned(*size, **options):
        out = empty(*size, **options)
        return out.fill_(float("nan") if out.is_floating_point() else 2**30)

    for module in (contrast_form, prototype_form):
        monkeypatch.setattr(module.torch, "empty", poisoned)
    for before, after in zip(clean, everything(), strict=True):
        assert torch.equal(before, after)


def test_tuned_tiles_are_kept_and_used(monkeypatch, tmp_path):
    from hscl_kernels import tune
    from hscl_kernels.launch import Tile

    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    launch.tuned_tiles.cache_clear()
    cpu = torch.device("cpu")
    try:
        table = launch.forward_tile(20, 16, torch.float32, cpu, online=False)
        kept = tune.tune(20, 16, torch.float32, cpu, candidates=[Tile(16, 16, 4, 1)], report=lambda line: None)
        assert set(kept.values()) == {Tile(16, 16, 4, 1)}
        launch.tuned_tiles.cache_clear()  # as in a later process
        assert launch.forward_tile(20, 16, torch.float32, cpu, online=False) == Tile(16, 16, 4, 1) != table
        assert launch.backward_tile(20, 16, torch.float32, cpu, online=False) == Tile(16, 16, 4, 1)
        launch.tuned_path().write_text('{"interpreter": {"forward D64 4 bytes N20": [16, 16, 4, "x"]}}')
        launch.tuned_tiles.cache_clear()
        with pytest.raises(ValueError, match=r"tiles\.json does not hold tuned tiles.*delete it"):
            launch.forward_tile(20, 16, torch.float32, cpu, online=False)
    finally:
        launch.tuned_tiles.cache_clear()


Z, V, IDS, ROLES = torch.randn(6, 4), torch.randn(2, 4), torch.arange(6) % 3, torch.tensor([1, 0, -1, 2, 0, 0])


@pytest.mark.parametrize(
    ("call", "error", "shown"),
    [
        (lambda: hscl_loss(Z[0], V, IDS, ROLES), ValueError, r"embeddings has shape \[4\]"),
        (lambda: hscl_loss(Z[:0], V, IDS[:0], ROLES[:0]), ValueError, r"embeddings has shape \[0, 4\]"),
        (lambda: hscl_loss(Z.long(), V, IDS, ROLES), TypeError, "embeddings has dtype torch.int64"),
        (lambda: hscl_loss(Z, V[:, :3], IDS, ROLES), ValueError, r"\[2, 3\].*\[6, 4\]"),
        (lambda: hscl_loss(Z, V, IDS[:5], ROLES), ValueError, r"instance_ids has shape \[5\], expected \[6\]"),
        (lambda: hscl_loss(Z, V, IDS.float(), ROLES), TypeError, "instance_ids has dtype torch.float32"),
        (lambda: hscl_loss(Z, V, IDS, ROLES[:3]), ValueError, r"roles has shape \[3\]"),
        (lambda: hscl_loss(Z, V, IDS, ROLES * 3), ValueError, r"roles holds \[-3, 3, 6\]"),
        (lambda: hscl_loss(Z, V, IDS.to("meta"), ROLES), ValueError, "instance_ids is on meta, embeddings are on cpu"),
        (lambda: hscl_loss(Z, V.to("meta"), IDS, ROLES), ValueError, "prototypes is on meta"),
        (lambda: hscl_loss(Z, V, IDS, ROLES, temperature=0.0), ValueError, r"temperature is 0\.0"),
        (lambda: hscl_loss(Z, V, IDS, ROLES, lambda_abnormal=-1.0), ValueError, r"lambda_abnormal is -1\.0"),
        (lambda: hscl_loss(Z, V, IDS, ROLES, na_estimator="mean"), ValueError, "na_estimator is 'mean'"),
        (lambda: hscl_loss(Z, V, IDS, ROLES, backend="cuda"), ValueError, "backend is 'cuda'"),
        (
            lambda: hscl_loss(Z, V, IDS, ROLES, na_estimator="multinomial", uniforms=torch.rand(2, 5)),
            ValueError,
            r"uniforms is torch.float32 \[2, 5\], expected torch.float64 \[2, 6\]",
        ),
        (lambda: info_nce(Z, IDS, reduction="max"), ValueError, "reduction is 'max'"),
        (lambda: info_nce(Z, IDS, float("nan")), ValueError, "temperature is nan"),
        (lambda: info_nce(Z.double(), IDS, backend="triton"), TypeError, "float64.*use 'reference' or 'cpu'"),
        (lambda: info_nce(torch.randn(6, 300), IDS, backend="triton"), ValueError, "300 features"),
        (lambda: prototype_similarity(Z, torch.randn(257, 4), backend="triton"), ValueError, "257 prototypes"),
        (lambda: info_nce(Z.to("meta"), IDS.to("meta"), backend="cpu"), ValueError, "backend is 'cpu'.*on meta"),
    ],
)
def test_errors_show_what_is_wrong(call, error, shown):
    with pytest.raises(error, match=shown):
        call()


def test_triton_on_the_cpu_needs_the_interpreter(monkeypatch):
    monkeypatch.setattr(backends, "INTERPRETED", False)
    with pytest.raises(ValueError, match="TRITON_INTERPRET=1"):
        info_nce(Z, IDS, backend="triton")
    monkeypatch.setattr(backends, "HAS_TRITON", False)
    with pytest.raises(ValueError, match="Triton is not installed"):
        info_nce(Z, IDS, backend="triton")


def test_a_role_that_does_not_exist_shows_on_a_device_too():
    total, *_ = contrast_form.hscl_forward(Z, V, IDS, ROLES + 1, None, 0.5, 1.0, 1.0, 0.4)
    assert torch.isnan(total)


def test_multinomial_draws_with_its_generator():
    def value(seed):
        generator = torch.Generator().manual_seed(seed)
        return hscl_loss(Z, V, IDS, ROLES, na_estimator="multinomial", generator=generator).normal_to_abnormal

    assert value(1) == value(1)
    assert len({value(seed).item() for seed in range(8)}) > 1
