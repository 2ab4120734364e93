"""The training step as one graph: no break, no retracing, the same training."""

import contextlib
import os
from pathlib import Path

import numpy as np
import pytest
import torch
from conftest import tiny_config
from functorch.compile import make_boxed_func
from torch._dynamo.backends.common import aot_autograd

from hscl_fast import inductor_cache
from hscl_fast.cli import main as cli
from hscl_fast.compiling import compile_whole, resolve_mode
from hscl_fast.config.sections import AugmentConfig
from hscl_fast.data.loaders.resident import ResidentLoader
from hscl_fast.device import Execution
from hscl_fast.errors import UsageError
from hscl_fast.inductor_cache import set_inductor_cache_dir
from hscl_fast.method.network import build_network
from hscl_fast.method.scoring import scoring as scoring_module
from hscl_fast.method.scoring.scoring import Scoring
from hscl_fast.training.step import TrainingStep

CPU = torch.device("cpu")


@pytest.fixture
def traced_only(monkeypatch):
    """Dynamo and AOTAutograd as usual; then the graph runs eagerly, in seconds rather than minutes."""
    torch._dynamo.reset()
    compile = torch.compile
    monkeypatch.setattr(torch, "compile", lambda f, *, mode, **options: compile(f, backend="aot_eager", **options))
    yield
    torch._dynamo.reset()


def curve(split, config, mode, steps=5, precision=torch.float32):
    """The losses of the first steps, and the step; from the second step on, retracing is an error."""
    model = build_network(config.model, 8, rotation_head=config.objective.shift_loss, seed=0)
    model.to(memory_format=torch.channels_last).train()
    loader = ResidentLoader(split.training, config.optim.batch_size, seed=0, device=CPU)
    step = TrainingStep(config, model, Execution(CPU, precision, mode), total_steps=40)
    if step.guard.scaled:
        step.guard.scale.fill_(256.0)  # at the first one gradients overflow, and a skipped update has no loss
    losses = []
    with contextlib.ExitStack() as stack:
        for number, batch in enumerate(loader.batches(0, steps)):
            if number == 1:
                stack.enter_context(torch._dynamo.config.patch(error_on_recompile=True))
            step(batch)
            losses.append(step.read_metrics())
    return losses, step


@pytest.mark.parametrize(
    "change",
    [
        {},
        {"optim": {"weight_decay": 1e-4, "clip_norm": 0.5}, "augment": {"policy": "simclr", "rotations": 2}},
        {"objective": {"name": "released", "rotated_roles": "inherit", "shift_loss": True}},
        {"objective": {"na_estimator": "multinomial", "rotated_roles": "abnormal"}},
    ],
)
def test_the_whole_step_is_one_graph_and_trains_the_same(digits, traced_only, change):
    config = tiny_config(**change)
    eager, _ = curve(digits, config, "off")
    torch._dynamo.utils.counters.clear()
    compiled, step = curve(digits, config, "default")
    assert torch._dynamo.utils.counters["stats"]["unique_graphs"] == 1
    assert not torch._dynamo.utils.counters["graph_break"]
    assert compiled == eager
    assert step.step.item() == 5


def test_half_precision_with_a_loss_scale_is_one_graph_too(digits, traced_only):
    config = tiny_config(optim={"batch_size": 2})  # the CPU emulates half-precision convolutions, slowly
    eager, _ = curve(digits, config, "off", 2, torch.float16)
    compiled, _ = curve(digits, config, "default", 2, torch.float16)
    for ours, theirs in zip(compiled, eager, strict=True):
        assert ours["total"] == pytest.approx(theirs["total"], rel=1e-3)


def test_a_bad_batch_is_skipped_within_the_graph(digits, traced_only):
    _, step = curve(digits, tiny_config(), "default", 2)
    before = {name: tensor.clone() for name, tensor in step.model.state_dict().items()}
    with torch.no_grad():
        step.model.prototypes.fill_(float("nan"))
    before["prototypes"] = step.model.prototypes.detach().clone()
    step(next(ResidentLoader(digits.training, 32, seed=0, device=CPU).batches(7, 8)))
    assert step.guard.skipped.item() == 1
    for name, tensor in step.model.state_dict().items():
        torch.testing.assert_close(tensor, before[name], rtol=0, atol=0, equal_nan=True)


def test_a_cuda_graph_could_be_captured(digits, monkeypatch):
    """Torch captures one only if all that the graph changes in place is promised to stay where it is."""
    graphs = []

    def look(graph, inputs):
        graphs.append(torch._guards.TracingContext.get().fw_metadata)
        return make_boxed_func(graph)

    compile = torch.compile
    traced = aot_autograd(fw_compiler=look)
    monkeypatch.setattr(torch, "compile", lambda f, *, mode, **options: compile(f, backend=traced, **options))
    torch._dynamo.reset()
    curve(digits, tiny_config(optim={"clip_norm": 0.5}), "reduce-overhead", 1)
    torch._dynamo.reset()
    (graph,) = graphs
    changed = {place for place, tensor in enumerate(graph.input_info) if tensor.mutates_data}
    staying = set(graph.static_input_indices)
    assert len(changed) > 100
    assert changed <= staying
    assert len(graph.input_info) - len(staying) == 3  # the batch, which torch copies to where the graph reads it


@pytest.mark.parametrize("scoring", ["paper", "rotations", "contrast+knn+rotation_likelihood", "released", "knn"])
def test_scores_of_the_compiled_network(digits, traced_only, scoring):
    """15 images in batches of 4: the last one is filled up, and nothing is traced again for it."""
    scoring_module._compiled_forward.cache_clear()
    model = build_network(tiny_config().model, 8, rotation_head=True, seed=0).eval()
    images = digits.test.images[:15]
    scores = []
    for mode in ("off", "default"):
        scorer = Scoring(scoring, model, Execution(CPU, compile=mode), 4, AugmentConfig())
        with torch._dynamo.config.patch(error_on_recompile=True):
            scores.append(scorer.calibrate(images[:7]).score(images))
    np.testing.assert_allclose(scores[1], scores[0], rtol=1e-5, atol=1e-6)


def test_a_graph_break_is_an_error():
    def looks(x):
        return x if x.sum() > 0 else -x

    torch._dynamo.reset()
    with pytest.raises(UsageError, match=r"torch\.compile failed: .*--runtime\.compile off"):
        compile_whole(looks, "default")(torch.ones(3))


def test_modes_of_each_device():
    assert resolve_mode("auto", CPU) == "off"
    assert resolve_mode("auto", torch.device("cuda")) == "default"
    assert resolve_mode("max-autotune", CPU) == "max-autotune"
    assert compile_whole(len, "off") is len


def test_compiled_code_is_kept(monkeypatch, tmp_path):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.delenv("TORCHINDUCTOR_CACHE_DIR", raising=False)
    assert cli.run(["data", "list"]) == 0
    folder = Path(os.environ["TORCHINDUCTOR_CACHE_DIR"])
    assert folder.parent == tmp_path / "hscl_fast" / "inductor"
    assert folder == set_inductor_cache_dir()
    monkeypatch.setenv("TORCHINDUCTOR_CACHE_DIR", "/elsewhere")
    assert str(set_inductor_cache_dir()) == "/elsewhere"


def test_every_cpu_and_version_of_torch_has_its_own_compiled_code(monkeypatch, tmp_path):
    """Code for one CPU capability can compute wrong numbers at another, and machines may share a home."""
    info = tmp_path / "cpuinfo"
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setattr(inductor_cache, "_CPU_INFO", info)

    def folder(flags, capability="", torch_version="2.0"):
        info.write_text(f"processor\t: 0\nmodel name\t: CPU\nflags\t\t: {flags}\n\n" * 2)
        monkeypatch.setattr(inductor_cache, "version", lambda name: torch_version)
        monkeypatch.setenv("ATEN_CPU_CAPABILITY", capability)
        monkeypatch.setenv("TORCHINDUCTOR_CACHE_DIR", "")  # so that it is restored in the end
        monkeypatch.delenv("TORCHINDUCTOR_CACHE_DIR")
        return set_inductor_cache_dir()

    assert folder("sse avx2") == folder("avx2 sse")
    kinds = [
        folder("sse avx2"),
        folder("sse avx2 avx512f"),
        folder("sse avx2 avx512f", "avx2"),
        folder("sse avx2", torch_version="2.1"),
    ]
    assert len(set(kinds)) == 4
    monkeypatch.setattr(inductor_cache, "_CPU_INFO", tmp_path / "absent")
    assert folder("sse avx2").parent == kinds[0].parent
