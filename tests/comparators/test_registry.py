import importlib
from pathlib import Path

import pytest

import hscl_fast.comparators
from hscl_fast.comparators.comparator import Comparator
from hscl_fast.config.methods import COMPARATORS, HSCL, METHODS

ABOUT_ALL = {"__init__", "comparator", "pixels", "registry", "scorer"}


def test_every_file_of_a_comparator_is_listed():
    (folder,) = hscl_fast.comparators.__path__
    assert {path.stem for path in Path(folder).glob("*.py")} - ABOUT_ALL == COMPARATORS.keys()
    assert (HSCL, *COMPARATORS) == METHODS


@pytest.mark.parametrize("name", COMPARATORS)
def test_every_comparator_is_found_by_its_name(name):
    module = importlib.import_module(f"hscl_fast.comparators.{name}")
    assert issubclass(getattr(module, COMPARATORS[name].class_name), Comparator)
