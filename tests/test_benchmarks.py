"""What the benchmarks need no GPU for: calls of the peers, rates of kernels, captures, tables and plots."""

import contextlib
import json
import sys
from types import ModuleType, SimpleNamespace

import pytest
import torch
import torch.nn.functional as F
from conftest import ROOT

from benchmarks import cuda_graphs, gpu_peers, objective_plot, objective_table, peers
from benchmarks.batch import make_batch
from benchmarks.interleave import Variant, differentiable
from benchmarks.kernel_times import rates
from benchmarks.peers import FLOOR, GPU_ONLY, GPU_PEERS, OURS


def stub(name, **functions):
    module = ModuleType(name)
    vars(module).update(functions)
    return module


@pytest.fixture
def packages(monkeypatch):
    """The packages' functions, written in plain PyTorch."""

    def inf_cl(q, k, labels=None, scale=None, head_dim=256):
        assert head_dim == q.shape[1]
        return F.cross_entropy(scale * q @ k.T, labels, reduction="none")

    def cross_entropy(e, c, targets, **options):
        assert options in ({}, {"filter_eps": None})
        return F.cross_entropy(e @ c.T, targets)

    functional = stub("functional", liger_fused_linear_cross_entropy=cross_entropy)
    for name, module in {
        "inf_cl": stub("inf_cl", cal_flash_loss=inf_cl),
        "cut_cross_entropy": stub("cut_cross_entropy", linear_cross_entropy=cross_entropy),
        "liger_kernel": stub("liger_kernel"),
        "liger_kernel.transformers": stub("transformers"),
        "liger_kernel.transformers.functional": functional,
    }.items():
        monkeypatch.setitem(sys.modules, name, module)


@pytest.mark.parametrize("peer", [gpu_peers.inf_cl, gpu_peers.cut_cross_entropy, gpu_peers.liger])
def test_the_gpu_peers_compute_the_sample_term_with_the_row_itself(packages, peer):
    batch = make_batch(64)
    units = F.normalize(batch.embeddings.detach(), dim=1)
    logits = units @ units.T / 0.5
    expected = (logits.logsumexp(1) - (units * units.roll(32, 0)).sum(1) / 0.5).mean()
    variant = peer(batch)
    loss = variant.forward()
    torch.testing.assert_close(loss, expected)
    (gradient,) = variant.backward(loss)
    assert gradient.shape == batch.embeddings.shape
    assert gradient.abs().max() > 0


def test_a_peer_that_cannot_run_gives_its_reason(monkeypatch):
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    reasons = {name: peer.reason_against(torch.float32) for name, peer in GPU_PEERS.items()}
    assert reasons["Inf-CL, with self"] == "inf_cl is not installed"
    assert reasons["upper bar: flash attention"] == "it does not take float32"
    assert reasons[OURS] is None
    assert GPU_ONLY["upper bar: flash attention"].reason_against(torch.bfloat16) is None


def event(name, microseconds, count=10):
    return SimpleNamespace(key=name, device_time_total=microseconds, count=count)


def test_the_rate_of_a_sweep_is_that_of_its_products():
    found = rates([event("row_terms_kernel", 50), event("sweep_backward_kernel", 2000), event("cpu", 0)], 1024, 128)
    assert list(found) == ["sweep_backward_kernel", "row_terms_kernel"]
    assert found["row_terms_kernel"] == {"launches": 1, "seconds": pytest.approx(5e-6)}
    assert found["sweep_backward_kernel"]["tflops"] == pytest.approx(4 * 1024**2 * 128 / 200e-6 / 1e12)


class FakeGraph:
    """Counts its replays; ``fails`` is raised when its capture ends."""

    fails: RuntimeError | None = None

    def __init__(self):
        self.replays = 0

    def pool(self):
        return None

    def replay(self):
        self.replays += 1


@pytest.fixture
def fake_cuda(monkeypatch):
    @contextlib.contextmanager
    def graph(captured, pool=None):
        yield
        if FakeGraph.fails is not None:
            raise FakeGraph.fails

    stream = SimpleNamespace(wait_stream=lambda other: None)
    for name, fake in {
        "Stream": lambda: stream,
        "current_stream": lambda: stream,
        "stream": lambda given: contextlib.nullcontext(),
        "CUDAGraph": FakeGraph,
        "graph": graph,
        "synchronize": lambda: None,
    }.items():
        monkeypatch.setattr(torch.cuda, name, fake)


def test_a_captured_variant_replays_and_computes_nothing_anew(fake_cuda):
    leaf, calls = torch.ones(3, requires_grad=True), []

    def loss():
        calls.append(1)
        return (leaf**2).sum()

    variant, reason = cuda_graphs.captured(differentiable(loss, leaf))
    assert reason is None
    before = len(calls)
    value = variant.forward()
    (gradient,) = variant.backward(value)
    assert value.item() == 3
    assert gradient.tolist() == [2, 2, 2]
    assert len(calls) == before


def test_what_cannot_be_captured_is_timed_as_it_is(fake_cuda, monkeypatch):
    monkeypatch.setattr(FakeGraph, "fails", RuntimeError("operation not permitted\nwhen stream is capturing"))
    given = Variant(lambda: 1, lambda value: None)
    assert cuda_graphs.captured(given) == (given, "operation not permitted")


def gpu_results():
    """The results of a GPU, made up."""
    results = json.loads((ROOT / "benchmarks" / "results" / "objective.json").read_text(encoding="utf-8"))
    for benchmark in results["benchmarks"]:
        info = benchmark["extra_info"]
        info["variants"].pop(FLOOR)
        info |= {"device": "cuda", "dtype": "bfloat16", "left_out": {"Inf-CL, with self": "inf_cl is not installed"}}
        info |= {"eager": {"lightly NTXentLoss": "it waits"}, "kernels": rates([event("sweep_forward", 1e3)], 512, 128)}
    return results


def test_the_page_of_a_gpu_has_rates_and_reasons():
    text = objective_table.section(gpu_results())
    assert "| `sweep_forward` | bfloat16 | 512 | 1 | 100 | 0.34 |" in text
    assert "- Inf-CL, with self, bfloat16: not run (inf_cl is not installed)." in text
    assert "- lightly NTXentLoss, bfloat16: timed outside a CUDA graph (it waits)." in text


def test_the_plot_is_logarithmic_and_has_every_variant():
    results = json.loads((ROOT / "benchmarks" / "results" / "objective.json").read_text(encoding="utf-8"))
    figure = objective_plot.objective_figure(results)
    assert [(axes.get_xscale(), axes.get_yscale()) for axes in figure.axes] == [("log", "log")] * 2
    time, memory = figure.axes
    assert {line.get_label() for line in time.lines} == set(peers.PEERS)
    assert {line.get_label() for line in memory.lines} == set(peers.PEERS) - {FLOOR}
    ours = next(line for line in time.lines if line.get_label() == OURS)
    measured = objective_table.grouped(results)["cpu", "float32"]
    assert list(ours.get_ydata()) == pytest.approx([1e3 * some[OURS]["total"][1] for some in measured.values()])
