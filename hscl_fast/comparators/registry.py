"""Builds comparators by name."""

from __future__ import annotations

import importlib

from hscl_fast.comparators.comparator import Comparator, Setting
from hscl_fast.config.methods import COMPARATORS


def build_comparator(name: str, setting: Setting) -> Comparator:
    """Return a comparator, untrained; only its own file is imported."""
    module = importlib.import_module(f"hscl_fast.comparators.{name}")
    comparator: Comparator = getattr(module, COMPARATORS[name].class_name)(setting)
    return comparator
