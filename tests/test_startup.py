"""Commands do not import heavy packages, which takes seconds, before they need them."""

import subprocess
import sys

import numpy as np
import pytest
from conftest import TINY, flags, subprocess_environment
from PIL import Image

from hscl_fast.cli import main

# The compiler itself; stand-ins for torch._dynamo do not count.
COMPILER = "torch._dynamo.convert_frame"
HEAVY = {"sklearn", "scipy", "matplotlib", "pandas", "jinja2", "numba"}
HUB_CLIENT = {"huggingface_hub", "huggingface_hub.hf_api", "httpx2", "trio"}


def imported(*arguments, cwd=None):
    """The modules in a process that has run a command."""
    script = (
        "import sys\n"
        "from hscl_fast.cli import main\n"
        "try:\n"
        "    status = main.run(sys.argv[1:])\n"
        "except SystemExit as stopped:\n"
        "    status = stopped.code\n"
        "print('status', status)\n"
        "print('modules', *sys.modules)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", script, *map(str, arguments)],
        cwd=cwd,
        capture_output=True,
        text=True,
        env=subprocess_environment(),
        check=True,
    )
    *_, status, modules = done.stdout.splitlines()
    return int(status.split()[1]), set(modules.split()[1:])


@pytest.mark.parametrize(
    ("arguments", "status"),
    [
        ([], 0),
        (["data"], 0),
        (["--help"], 0),
        (["--version"], 0),
        *(([*command.split(), "--help"], 0) for command in main.COMMANDS),
        (["train", "digits", "--no_such_flag"], 2),
        (["train", "digits", "--model.width", "wide"], 2),
        (["train"], 2),
        (["predict", "run"], 2),
        (["data", "list"], 0),
    ],
)
def test_without_torch(arguments, status):
    found, modules = imported(*arguments)
    assert found == status
    assert not modules & {"torch", "timm", "pydantic", *HEAVY}


def test_predicting_needs_neither_the_compiler_nor_what_evaluation_needs(tmp_path):
    run, image = tmp_path / "run", tmp_path / "image.png"
    scoring = "contrast+knn+mahalanobis+regression"  # two of these learn with scikit-learn
    optim = {"epochs": 1, "max_steps": 1, "batch_size": 32}
    config = {**TINY, "optim": optim, "evaluate": {"scoring": scoring}}
    assert main.run(["train", "digits", "--out", str(run), *flags(config)]) == 0
    Image.fromarray(np.zeros((8, 8, 3), np.uint8)).save(image)
    status, modules = imported("predict", run, image, "--out", tmp_path / "scores.csv")
    assert status == 0
    assert "torch" in modules
    assert not modules & {COMPILER, "torch._inductor", "sympy", *HEAVY}
    assert not modules & {"hscl_fast.data.beton.reader", "hscl_fast.evaluation.report", "ffcv"}
    assert not modules & {*HUB_CLIENT, "docstring_parser"}  # which the flags of other commands would import


@pytest.mark.slow
def test_the_compiler_is_there_as_soon_as_something_asks_for_it():
    script = (
        "import os, sys\n"
        "from hscl_fast.deferred_compiler import defer_compiler\n"
        "import torch\n"
        "defer_compiler()\n"
        "import timm\n"
        "for statement in sys.argv[1:]:\n"
        "    if not os.fork():\n"
        f"        assert {COMPILER!r} not in sys.modules\n"
        "        exec(statement)\n"
        f"        assert {COMPILER!r} in sys.modules\n"
        "        assert torch.compile(lambda x: x + 1, backend='eager')(torch.ones(1)).item() == 2\n"
        "        torch._dynamo.reset()\n"
        "        sys.exit()\n"
        "    assert os.waitstatus_to_exitcode(os.wait()[1]) == 0, statement\n"
    )
    statements = ("torch.compile(lambda x: x)(1)", "import torch._dynamo.exc", "from torch._dynamo import config")
    done = subprocess.run(
        [sys.executable, "-c", script, *statements],
        capture_output=True,
        text=True,
        env=subprocess_environment(),
        check=False,
    )
    assert done.returncode == 0, done.stderr


@pytest.mark.slow
def test_the_hub_is_there_as_soon_as_timm_asks_for_it():
    script = (
        "import sys\n"
        "from hscl_fast.light_timm import timm\n"
        "hub = timm.models._hub\n"
        f"assert not set(sys.modules) & {HUB_CLIENT!r}\n"
        "stand_in, load = hub.hf_hub_download, hub.load_state_dict_from_hf\n"
        "assert hub.has_hf_hub()\n"
        "try:\n"
        "    load('nobody/nothing')\n"
        "except Exception as error:\n"
        "    from huggingface_hub.errors import EntryNotFoundError, LocalEntryNotFoundError\n"
        "    assert isinstance(error, LocalEntryNotFoundError), error\n"
        "assert hub.EntryNotFoundError is EntryNotFoundError\n"  # which that function catches
        "assert hub.hf_hub_download is not stand_in\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", script],
        capture_output=True,
        text=True,
        env={**subprocess_environment(), "HF_HUB_OFFLINE": "1"},
        check=False,
    )
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("home", ["missing", "read-only", "a file"])
def test_a_home_that_cannot_be_written_stops_nothing(tmp_path, home):
    folder = tmp_path / "home"
    if home == "a file":
        folder.write_text("")
    elif home == "read-only":
        folder.mkdir()
        folder.chmod(0o500)
    environment = {**subprocess_environment(), "HOME": str(folder), "XDG_CACHE_HOME": ""}
    environment.pop("TORCHINDUCTOR_CACHE_DIR", None)
    done = subprocess.run(
        [sys.executable, "-m", "hscl_fast", "data", "verify", "digits"],
        capture_output=True,
        text=True,
        env=environment,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert "intact" in done.stdout
    if home == "missing":
        assert not folder.exists()
