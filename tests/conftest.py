"""What several tests share: a small split, a small configuration, the command line as a user runs it."""

import os
import subprocess
import sys
from pathlib import Path

# Triton's interpreter multiplies with NumPy, whose float32 products round differently on each CPU: take the kernels
# that every x86 CPU has. OpenBLAS reads this when NumPy is first imported.
os.environ.setdefault("OPENBLAS_CORETYPE", "NEHALEM")

import numpy as np
import pytest
import torch
from hypothesis import settings

if not torch.cuda.is_available():
    os.environ.setdefault(
        "TRITON_INTERPRET", "1"
    )  # the kernels run in Triton's interpreter; read when they are defined

from hscl_fast.config.parsing import from_dict

# The machine may be busy: how long an example takes says nothing.
settings.register_profile("unhurried", deadline=None)
settings.load_profile("unhurried")

torch.set_num_threads(1)  # tests share the machine with one another; a busy second core makes two threads slower

ROOT = Path(__file__).parents[1]
FASHION_MNIST = Path("/usr/share/datasets/fashion-mnist")

TINY = {
    "data": {"name": "digits"},
    "model": {"width": 16, "embedding_dim": 16},
    "optim": {"epochs": 3, "batch_size": 32, "warmup_share": 0.3},
    "runtime": {"device": "cpu", "threads": 1},
    "record": {"log_every": 2, "checkpoint_every": 3, "validate_every": 1},
}


def tiny_config(**sections):
    """A configuration that trains in seconds; keyword arguments replace fields of a section."""
    return from_dict({name: {**TINY.get(name, {}), **sections.get(name, {})} for name in {*TINY, *sections}}, "test")


@pytest.fixture(scope="session")
def digits():
    """The split of ``hscl train digits``."""
    from hscl_fast.data.open import load_split

    return load_split(tiny_config().data)


def flags(config=None):
    """Command-line flags of a configuration given as in TINY."""
    return [
        f"--{section}.{name}={value}"
        for section, values in (config or TINY).items()
        for name, value in values.items()
        if (section, name) != ("data", "name")
    ]


def hscl(*arguments, cwd=None, timeout=300):
    """Run the command line in a process of its own."""
    return subprocess.run(
        [sys.executable, "-m", "hscl_fast", *map(str, arguments)],
        cwd=cwd,
        capture_output=True,
        text=True,
        timeout=timeout,
        env=subprocess_environment(),
        check=False,
    )


def subprocess_environment():
    """This process's environment with both import roots, and coverage of sub-processes where that is measured."""
    paths = [str(ROOT), str(ROOT / "kernels"), os.environ.get("PYTHONPATH", "")]
    return {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, paths)), "COLUMNS": "200"}


@pytest.fixture
def rng():
    return np.random.default_rng(0)


def pytest_collection_modifyitems(items):
    """Skip what needs a GPU where there is none, and say so."""
    if torch.cuda.is_available():
        return
    for item in items:
        if "gpu" in item.keywords:
            item.add_marker(pytest.mark.skip(reason="needs a CUDA or ROCm device, and torch finds none here"))
