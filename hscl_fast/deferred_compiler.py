"""Postpones the import of torch's compiler, which takes two seconds, until something is compiled.

torch's own library operations, torchvision and timm import two functions from ``torch._dynamo``: a decorator that
excludes a function from compilation, and a test whether a device supports compilation. Stand-ins for the modules
provide both without the compiler.
"""

from __future__ import annotations

import functools
import importlib
import sys
from collections.abc import Callable
from types import ModuleType
from typing import Any

_COMPILER, _UTILS = "torch._dynamo", "torch._dynamo.utils"


def defer_compiler() -> None:
    """Put stand-ins in place of ``torch._dynamo``; anything but their functions imports the real modules."""
    if not any(name == _COMPILER or name.startswith(f"{_COMPILER}.") for name in sys.modules):
        sys.modules[_COMPILER] = _StandIn(_COMPILER, disable=_disable)
        sys.modules[_UTILS] = _StandIn(_UTILS, is_compile_supported=_is_compile_supported)


class _StandIn(ModuleType):
    """Provides the functions that other modules import; any other attribute imports the real module."""

    def __init__(self, name: str, **answers: Callable[..., Any]) -> None:
        super().__init__(name)
        self._answers = answers

    def __getattr__(self, name: str) -> Any:
        if name in self._answers:
            return self._answers[name]
        below = name == "__path__" and self.__name__ == _COMPILER  # a submodule is being imported
        if name.startswith("__") and not below:
            raise AttributeError(name)
        return getattr(_real(self.__name__), name)


def _real(name: str) -> ModuleType:
    """Return the real module, importing it if necessary."""
    for stand_in in (_COMPILER, _UTILS):
        if isinstance(sys.modules.get(stand_in), _StandIn):
            del sys.modules[stand_in]
    return importlib.import_module(name)


def _disable(function: Callable[..., Any] | None = None, recursive: bool = True, **options: Any) -> Any:
    """Stand in for ``torch._dynamo.disable``; once the compiler is imported, calls go through the real one."""
    if function is None:
        return functools.partial(_disable, recursive=recursive, **options)
    disabled: list[Callable[..., Any]] = []

    @functools.wraps(function)
    def call(*args: Any, **kwargs: Any) -> Any:
        if not disabled:
            if isinstance(sys.modules.get(_COMPILER), _StandIn):
                return function(*args, **kwargs)
            disabled.append(_real(_COMPILER).disable(function, recursive, **options))
        return disabled[0](*args, **kwargs)

    return call


def _is_compile_supported(device_type: str) -> bool:
    supported: bool = _real(_UTILS).is_compile_supported(device_type)
    return supported
