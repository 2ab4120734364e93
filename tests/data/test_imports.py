"""Importing the data package loads no heavy library that is not needed."""

import pkgutil
import subprocess
import sys

import pytest
from conftest import subprocess_environment

import hscl_fast.data

MODULES = [
    module.name
    for module in pkgutil.walk_packages(hscl_fast.data.__path__, "hscl_fast.data.")
    if not module.ispkg and ".loaders." not in module.name
]
HEAVY = ("torch", "sklearn", "scipy", "pydantic", "PIL")


def loaded_by(statement):
    """The heavy libraries that a statement loads in a new process."""
    script = f"import sys\n{statement}\nprint(*[name for name in {HEAVY} if name in sys.modules])"
    command = [sys.executable, "-c", script]
    done = subprocess.run(command, capture_output=True, text=True, env=subprocess_environment(), check=True)
    return set(done.stdout.split())


def test_only_the_loaders_need_torch():
    assert len(MODULES) > 20
    assert loaded_by(f"import {', '.join(MODULES)}") == {"pydantic", "PIL"}


@pytest.mark.parametrize(
    "statement",
    [
        "import hscl_fast.data.types, hscl_fast.data.split.split, hscl_fast.data.split.protocols",
        "from hscl_fast.data.named.registry import describe_sources; describe_sources()",
    ],
)
def test_types_and_the_list_of_data_sets_need_numpy_only(statement):
    assert loaded_by(statement) == set()
