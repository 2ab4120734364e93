"""How much CPU time does a command take from its start to its end, beside importing torch?"""

import numpy as np
import pytest
import timm
from PIL import Image
from safetensors.torch import save_file

from benchmarks.startup import HELP, Commands, commands
from hscl_fast.cli import main

ROUNDS = 9


@pytest.fixture
def small_run(tmp_path):
    path = tmp_path / "run"
    flags = ["--model.width=16", "--model.embedding_dim=16", "--optim.batch_size=32", "--optim.max_steps=2"]
    assert main.run(["train", "digits", "--out", str(path), "--runtime.device=cpu", *flags]) == 0
    return path


@pytest.fixture
def frozen_run(tmp_path):
    """A run of recipe frozen on 16 images; the weights of the encoder are random, which takes no less time."""
    images = tmp_path / "images"
    random = np.random.default_rng(0)
    for role in ("normal", "abnormal", "unlabeled"):
        (images / "train" / role).mkdir(parents=True)
        for place in range(8 if role == "unlabeled" else 4):
            pixels = random.integers(0, 256, (64, 64, 3), np.uint8)
            Image.fromarray(pixels).save(images / "train" / role / f"{place}.png")
    weights = tmp_path / "weights.safetensors"
    save_file(timm.create_model("tf_efficientnet_lite0").state_dict(), weights)
    path = tmp_path / "frozen"
    flags = ["--recipe", "frozen", "--model.weights", str(weights), "--data.image_size=224", "--optim.max_steps=2"]
    assert main.run(["train", str(images), "--out", str(path), "--runtime.device=cpu", *flags]) == 0
    return path


def test_startup(benchmark, small_run, frozen_run, tmp_path):
    """pytest-benchmark times ``hscl --help``; its setup gives every other command a turn."""
    image = tmp_path / "image.png"
    Image.fromarray(np.zeros((8, 8, 3), np.uint8)).save(image)
    timing = Commands(commands(small_run, frozen_run, image))
    for name in timing.commands:
        timing.run(name)  # compiles Python's byte code and reads the files once
    others = [name for name in timing.commands if name != HELP]
    benchmark.pedantic(timing.time, args=(HELP,), setup=lambda: timing.round(others), rounds=ROUNDS)
    benchmark.extra_info.update(variants=timing.summary())
