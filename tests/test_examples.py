"""The examples in docstrings run."""

import doctest
import importlib
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
FOLDERS = {ROOT: "hscl_fast", ROOT / "kernels": "hscl_kernels"}
MODULES = [
    ".".join(path.relative_to(root).with_suffix("").parts).removesuffix(".__init__")
    for root, package in FOLDERS.items()
    for path in sorted((root / package).rglob("*.py"))
    if ">>> " in path.read_text(encoding="utf-8")
]


@pytest.mark.parametrize("name", MODULES)
def test_examples(name):
    failed, tried = doctest.testmod(importlib.import_module(name))
    assert tried
    assert not failed


def test_there_are_examples_of_both_packages():
    assert {name.partition(".")[0] for name in MODULES} == {"hscl_fast", "hscl_kernels"}
