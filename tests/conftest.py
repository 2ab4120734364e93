"""Shared by the tests: a small split, a small configuration, and the command line as a user runs it."""

import itertools
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

# Triton's interpreter multiplies with NumPy, whose float32 products round differently on each CPU: take the kernels
# that every x86 CPU has. OpenBLAS reads this when NumPy is first imported.
os.environ.setdefault("OPENBLAS_CORETYPE", "NEHALEM")

# Compiled code of earlier runs must not decide a test, nor may a test write into the user's home. Inductor takes code
# from its cache that was compiled for other vector instructions, so every session begins without any.
if "PYTEST_XDIST_WORKER" not in os.environ:  # the workers of pytest-xdist inherit the folder
    os.environ["XDG_CACHE_HOME"] = tempfile.mkdtemp(prefix="hscl-tests-")
    os.environ["TORCHINDUCTOR_CACHE_DIR"] = os.path.join(os.environ["XDG_CACHE_HOME"], "inductor")

import numpy as np
import pytest
import torch
from hypothesis import settings
from light_reports import make_reports_light

if not torch.cuda.is_available():
    os.environ.setdefault(
        "TRITON_INTERPRET", "1"
    )  # the kernels run in Triton's interpreter; read when they are defined

from hscl_fast.config.parsing import from_dict

# No deadline for an example: the machine may be busy.
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
    "evaluate": {"scoring": "paper"},
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


@pytest.fixture(scope="session", autouse=True)
def light_reports():
    """See :mod:`light_reports`."""
    with pytest.MonkeyPatch.context() as patch:
        make_reports_light(patch)
        yield


@pytest.fixture
def with_pixels(monkeypatch):
    """The plots of pages are drawn as pixels."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg

    from hscl_fast.evaluation.report import figure

    monkeypatch.setattr(figure, "FigureCanvasAgg", FigureCanvasAgg)


@pytest.fixture
def rng():
    return np.random.default_rng(0)


def pytest_configure(config):
    # Everything that decides the code is part of the key in Triton's cache, so this one is kept: it makes the second
    # run of the audit three times as fast.
    os.environ["TRITON_CACHE_DIR"] = str(config.cache.mkdir("triton"))


def pytest_unconfigure():
    if "PYTEST_XDIST_WORKER" not in os.environ:
        shutil.rmtree(os.environ["XDG_CACHE_HOME"], ignore_errors=True)


def pytest_collection_modifyitems(items):
    """Skip what needs a GPU where there is none, and say so; put long tests first."""
    if not torch.cuda.is_available():
        for item in items:
            if "gpu" in item.keywords:
                item.add_marker(pytest.mark.skip(reason="needs a CUDA or ROCm device, and torch finds none here"))
    items[:] = slow_first(items, workers=int(os.environ.get("PYTEST_XDIST_WORKER_COUNT", 1)))


def slow_first(items, workers):
    """Order tests so that every worker begins with slow ones; the quick ones at the end are shared evenly.

    With ``--dist worksteal`` each worker gets a contiguous part of the tests, and takes some of another's when it has
    none left. The tests of a file stay together, because they share fixtures; the audit is first, because it is the
    longest.
    """
    slow, quick = ([item for item in items if ("slow" in item.keywords) == wanted] for wanted in (True, False))
    files = {}
    for item in sorted(slow, key=lambda item: item.path.name != "test_audit.py"):
        files.setdefault(item.path, []).append(item)
    dealt = list(files.values())
    shares = [list(itertools.chain(*dealt[worker::workers])) for worker in range(workers)]
    ordered, quick = [], iter(quick)
    for worker, share in enumerate(shares):
        size = (len(items) - len(ordered)) // (workers - worker)
        ordered += [*share, *itertools.islice(quick, max(0, size - len(share)))]
    return [*ordered, *quick]
