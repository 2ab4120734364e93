"""Postpones the import of huggingface_hub, which takes a third of a second, until timm asks the hub for something.

timm imports three functions and two exceptions of it. Stand-ins for the functions import the real ones when they are
called, and make timm's only module with the hub import them as well.
"""

from __future__ import annotations

import importlib
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import ModuleType
from typing import Any

_HUB, _UTILS, _USER = "huggingface_hub", "huggingface_hub.utils", "timm.models._hub"
_CALLED = ("HfApi", "hf_hub_download", "model_info")
_CAUGHT = ("EntryNotFoundError", "RepositoryNotFoundError")


@contextmanager
def hub_deferred() -> Iterator[None]:
    """While this holds, what imports the hub gets stand-ins, unless the hub is imported already."""
    if _HUB in sys.modules:
        yield
        return
    sys.modules[_HUB] = _module(_HUB, {name: _stand_in(name) for name in _CALLED})
    sys.modules[_UTILS] = _module(_UTILS, {name: type(name, (Exception,), {}) for name in _CAUGHT})
    try:
        yield
    finally:
        del sys.modules[_HUB], sys.modules[_UTILS]


def _module(name: str, contents: dict[str, Any]) -> ModuleType:
    module = ModuleType(name)
    vars(module).update(contents)
    return module


def _stand_in(name: str) -> Callable[..., Any]:
    def call(*args: Any, **keywords: Any) -> Any:
        # Functions of the module that are running see the real exceptions from here on: its names are replaced.
        importlib.reload(sys.modules[_USER])
        return getattr(importlib.import_module(_HUB), name)(*args, **keywords)

    return call
