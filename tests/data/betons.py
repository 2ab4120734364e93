"""Small data sets and .beton files made of them, for the tests of betons and of loaders."""

from pathlib import Path

import numpy as np
from PIL import Image

from hscl_fast.config.sections import DataConfig
from hscl_fast.data.prepare import Preparation, prepare_beton

FOLDERS = ("train/unlabeled", "train/normal", "train/abnormal", "test/normal", "test/abnormal/dent")


def draw_folder(root, per_folder=8, size=12):
    """A user's folder of PNG files with different noise in each."""
    rng = np.random.default_rng(0)
    for folder in FOLDERS:
        (root / folder).mkdir(parents=True)
        for number in range(per_folder):
            pixels = rng.integers(0, 256, (size, size, 3), np.uint8)
            Image.fromarray(pixels).save(root / folder / f"{number}.png")
    return root


def beton_of(data, out, **options):
    """Prepare ``data`` (a name or a path) as ``out``; return the configuration that reads it."""
    how = {name: options.pop(name) for name in ("encoding", "quality", "skip_bad", "overwrite") if name in options}
    prepare_beton(DataConfig(name=str(data), **options), Preparation(Path(out), **how))
    return DataConfig(name=str(out))
