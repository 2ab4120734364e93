"""A run to review: a folder of tiny images, some of them with names that nobody should have."""

import os

import numpy as np
from conftest import flags
from PIL import Image

from hscl_fast.cli import main

HOSTILE = (
    *('"><script>alert(1)</script>.png', "</script><img src=x onerror=alert(2)>.png", "line\nbreak.png"),
    *("return\rhere.png", "=1+1.png", " space .png", 'a,"b";c.png', "{{ 7 * 7 }}.png", "-2.png"),
)
FAST = flags(
    {
        "data": {"image_size": 8, "seed": 1},
        "model": {"width": 16, "embedding_dim": 16},
        "optim": {"max_steps": 1, "batch_size": 16},
        "augment": {"rotations": 1},
        "runtime": {"device": "cpu", "threads": 1, "precision": "float32"},
        "evaluate": {"scoring": "paper"},
    }
)


def make_folder(root):
    """Write 20 unlabelled images, one with a name that is not UTF-8, and a few of every other kind."""
    rng = np.random.default_rng(0)
    counts = {"train/normal": 6, "train/abnormal": 4, "test/normal": 4, "test/abnormal": 4, "train/unlabeled": 11}
    names = [f"{folder}/{i}.png" for folder, count in counts.items() for i in range(count)]
    for name in (*names, *(f"train/unlabeled/{name}" for name in HOSTILE)):
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(rng.integers(0, 256, (24, 40, 3), np.uint8)).save(path)
    os.rename(root / "train/unlabeled/0.png", os.fsencode(root / "train/unlabeled") + b"/\xff.png")
    return root


def train(*arguments):
    """Run ``hscl train`` and require that it is done."""
    assert main.run(["train", *map(str, arguments)]) == 0
