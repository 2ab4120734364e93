"""Checks precisions, training, torch.compile and FFCV by using each of them."""

from __future__ import annotations

import math
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import numpy as np
import torch
from hscl_kernels import info_nce
from torch import nn

from hscl_fast.compiling import resolve_mode
from hscl_fast.config.sections import Config, DataConfig, ModelConfig, OptimConfig, RecordConfig, RuntimeConfig
from hscl_fast.data.beton.ffcv_import import INSTALL, ffcv_is_installed, import_ffcv
from hscl_fast.data.loaders.choose import make_loader
from hscl_fast.data.open import in_memory, open_split
from hscl_fast.data.prepare import Preparation, prepare_beton
from hscl_fast.data.types import TrainingImages
from hscl_fast.device import resolve_execution, resolve_precision
from hscl_fast.doctor.outcome import Outcome, attempt, reason_of
from hscl_fast.runs.checkpoint import load_checkpoint
from hscl_fast.runs.train_run import train_run
from hscl_fast.training.recorder import SilentRecorder
from hscl_fast.training.trainer import Trainer

_SIDE, _COUNT, _BATCH = 16, 16, 8  # pixels, images, images per batch
_COMPILED_ERROR = 5e-3  # of the loss; products may be rounded to TF32
_NO_COMPILER = ("no working c++ compiler", "invalidcxxcompiler", "failed to find c compiler")
_GPU_FIX = "Check the driver, and that this build of torch supports this GPU; until it works, use --device cpu."
_COMPILE_FIX = "Train with --runtime.compile off, and report this with the output of `hscl doctor --json`."
_FFCV_FIX = f"Reinstall FFCV: {INSTALL}; or do without it: --runtime.loader torch."


def check_machine(device: torch.device) -> Iterator[Outcome]:
    """Yield an outcome for each part of the machine that training on ``device`` may need; uses temporary folders."""
    checks: dict[str, tuple[Callable[[torch.device], Outcome], str]] = {
        "precisions": (check_precisions, _GPU_FIX),
        "training": (check_training, "The message says what failed; the kernel checks may show why."),
        "torch.compile": (check_compile, _COMPILE_FIX),
        "compiled step": (check_compiled_step, _COMPILE_FIX),
        "FFCV": (check_ffcv, _FFCV_FIX),
    }
    for name, (check, fix) in checks.items():
        yield attempt(name, lambda check=check: check(device), fix)  # type: ignore[misc]


def random_training_images(count: int, size: int) -> TrainingImages:
    """Return images of noise; every third one is labelled, alternately normal and abnormal."""
    rng = np.random.default_rng(0)
    roles = np.resize(np.array([1, 0, 0, -1, 0, 0], np.int8), count)
    return TrainingImages(rng.integers(0, 256, (count, size, size, 3), dtype=np.uint8), roles)


def check_precisions(device: torch.device) -> Outcome:
    """Run a small network forward and backward in every dtype; the one that ``auto`` selects must work."""
    chosen = resolve_precision("auto", device)
    works, fails = [], []
    for dtype in (torch.float32, torch.bfloat16, torch.float16):
        name = str(dtype).removeprefix("torch.")
        try:
            _run_in(dtype, device)
            works.append(name)
        except (RuntimeError, ValueError) as error:
            if dtype == chosen:
                raise
            fails.append(f"{name} does not ({reason_of(error)})")
    detail = f"auto selects {str(chosen).removeprefix('torch.')}; {', '.join(works)} work"
    return Outcome("precisions", "pass", "; ".join([detail, *fails]))


def _run_in(dtype: torch.dtype, device: torch.device) -> None:
    network = nn.Sequential(nn.Conv2d(3, 16, 3), nn.BatchNorm2d(16), nn.ReLU(), nn.Flatten(), nn.Linear(16 * 8 * 8, 8))
    network.to(device).to(memory_format=torch.channels_last)
    images = torch.rand(4, 3, 10, 10, device=device)
    with torch.autocast(device.type, dtype=dtype, enabled=dtype != torch.float32):
        loss = network(images).float().square().mean()
    loss.backward()
    gradients = [parameter.grad for parameter in network.parameters() if parameter.grad is not None]
    if not all(bool(torch.isfinite(x).all()) for x in (loss, *gradients)):
        raise ValueError("the loss or a gradient is not finite")


def check_training(device: torch.device) -> Outcome:
    """Train a tiny network for two steps as ``hscl train`` does, twice; both runs must give the same bits."""
    with tempfile.TemporaryDirectory() as folder:
        images = _write_noise(Path(folder))
        config = _tiny_config(device, DataConfig(name=str(images), image_size=_SIDE, held_out_ratio=0.0))
        runs = [train_run(config, Path(folder, name)) for name in ("first", "again")]
        rows = runs[0].directory.read_metrics()
        first, again = (load_checkpoint(run.directory.checkpoint("last")).weights for run in runs)
    if [row["step"] for row in rows] != [1, 2] or any("total" not in row for row in rows):
        raise ValueError(f"updates were skipped: their loss or gradient was not finite ({rows})")
    differing = [name for name, tensor in first.items() if not torch.equal(tensor, again[name])]
    if differing:
        raise ValueError(f"two equal runs saved different weights: {differing[:3]}")
    loss, seconds = rows[-1]["total"], rows[-1]["seconds"]
    return Outcome("training", "pass", f"two steps in {seconds:.1f} s, loss {loss:.3f}; the same bits when repeated")


def _write_noise(folder: Path) -> Path:
    """Write noise in the layout of a user's ``.npz`` file, and return its path."""
    given, path = random_training_images(_COUNT, _SIDE), folder / "images.npz"
    np.savez(path, images=given.images[:], y=given.roles)
    return path


def _tiny_config(device: torch.device, data: DataConfig, **runtime: Any) -> Config:
    return Config(
        data=data,
        model=ModelConfig(width=16, embedding_dim=16),
        optim=OptimConfig(epochs=1, max_steps=2, batch_size=_BATCH),
        runtime=RuntimeConfig(device=str(device), **{"compile": "off", **runtime}),
        record=RecordConfig(log_every=1, checkpoint_every=2),
    )


def check_compile(device: torch.device) -> Outcome:
    """Compile a function that uses an operation into one graph, and compare it with the eager function."""

    def loss(z: torch.Tensor, ids: torch.Tensor) -> torch.Tensor:
        return info_nce(torch.tanh(z) * 2, ids)

    inputs = [torch.linspace(-2, 2, 64 * 16, device=device).sin().view(64, 16).requires_grad_() for _ in range(2)]
    ids = torch.arange(64, device=device) % 32
    expected = loss(inputs[0], ids)
    expected.backward()
    begun = time.perf_counter()
    try:
        value = torch.compile(loss, fullgraph=True)(inputs[1], ids)
        value.backward()
    except Exception as error:
        if not any(words in str(error).lower() for words in _NO_COMPILER):
            raise
        fix = "Install one, on Debian: apt-get install g++."
        return Outcome("torch.compile", "warning", f"there is no C++ compiler ({reason_of(error)[:120]})", fix)
    seconds = time.perf_counter() - begun
    for name, ours, theirs in (("value", value, expected), ("gradient", inputs[1].grad, inputs[0].grad)):
        assert ours is not None
        assert theirs is not None
        error_found = (ours - theirs).abs().max().item() / max(theirs.abs().max().item(), 1e-9)
        if not error_found < 1e-4:
            raise ValueError(f"the compiled {name} differs from the eager one by a relative error of {error_found:.1e}")
    return Outcome("torch.compile", "pass", f"info_nce in one graph, forward and backward, compiled in {seconds:.1f} s")


def check_compiled_step(device: torch.device) -> Outcome:
    """Train two compiled steps if compiling is the default; their losses must match those of eager steps."""
    mode = resolve_mode("auto", device)
    if mode == "off":
        return Outcome("compiled step", "not here", f"training on {device.type} is compiled only on request")
    losses = {}
    for form in ("off", mode):
        config = _tiny_config(device, DataConfig(image_size=_SIDE), compile=form, precision="float32")
        execution = resolve_execution(device, precision="float32", compile=form)
        recorder = _Rows()
        trainer = Trainer(config, random_training_images(_COUNT, _SIDE), recorder, execution)
        trainer.train()
        losses[form] = [row.get("total", math.nan) for row in recorder.rows]
    errors = [abs(ours - theirs) / abs(theirs) for ours, theirs in zip(losses[mode], losses["off"], strict=True)]
    if not all(error < _COMPILED_ERROR for error in errors):
        raise ValueError(f"the compiled step's losses {losses[mode]} differ from the eager step's {losses['off']}")
    detail = f"two steps in {trainer.state.seconds:.1f} s, losses within {max(errors):.1e} of the eager ones"
    return Outcome("compiled step", "pass", detail)


class _Rows(SilentRecorder):
    """Keeps the rows of the log in memory."""

    def __init__(self) -> None:
        self.rows: list[dict[str, Any]] = []

    def log(self, row: dict[str, Any]) -> None:
        """Keep a row."""
        self.rows.append(row)


def check_ffcv(device: torch.device) -> Outcome:
    """Prepare a small ``.beton`` and read it through FFCV; the batches must equal those of the images in memory."""
    if not ffcv_is_installed():
        return Outcome("FFCV", "not here", "not installed; only images beyond memory need it", f"{INSTALL}.")
    begun = time.perf_counter()
    import_ffcv()
    imported = time.perf_counter() - begun
    with tempfile.TemporaryDirectory() as folder:
        arrays, beton = _write_noise(Path(folder)), Path(folder) / "images.beton"
        prepare_beton(DataConfig(name=str(arrays), image_size=_SIDE), Preparation(beton, encoding="raw"))
        split = open_split(DataConfig(name=str(beton), held_out_ratio=0.0))
        runtime = RuntimeConfig(workers=1)
        batches = []
        for kind, training in (("ffcv", split.training), ("resident", in_memory(split).training)):
            loader = make_loader(kind, training, runtime, _BATCH, device)  # type: ignore[arg-type]
            with closing(loader.batches(0, 2)) as some:
                batches.append([[field.cpu().clone() for field in batch] for batch in some])
    same = all(
        torch.equal(x, y) for batch, other in zip(*batches, strict=True) for x, y in zip(batch, other, strict=True)
    )
    if not same:
        raise ValueError("FFCV's batches differ from those of the same images in memory")
    return Outcome("FFCV", "pass", f"imported in {imported:.1f} s; a .beton gave the same batches as memory")
