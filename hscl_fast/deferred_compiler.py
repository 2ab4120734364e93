"""Keeps torch's compiler from being imported before something is compiled, which takes two seconds.

torch's own library operations, torchvision and timm all ask ``torch._dynamo`` for a decorator that keeps the compiler
out of a function, or whether a device can compile. As long as the compiler is not there, nothing can be compiled, so
both questions have an answer without it.
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
    """Let stand-ins answer for ``torch._dynamo`` until anything else is asked of it, which imports it."""
    if not any(name == _COMPILER or name.startswith(f"{_COMPILER}.") for name in sys.modules):
        sys.modules[_COMPILER] = _StandIn(_COMPILER, disable=_disable)
        sys.modules[_UTILS] = _StandIn(_UTILS, is_compile_supported=_is_compile_supported)


class _StandIn(ModuleType):
    """Answers what is asked while modules are imported and operations called; else imports the real module."""

    def __init__(self, name: str, **answers: Callable[..., Any]) -> None:
        super().__init__(name)
        self._answers = answers

    def __getattr__(self, name: str) -> Any:
        if name in self._answers:
            return self._answers[name]
        below = name == "__path__" and self.__name__ == _COMPILER  # a module below it is being imported
        if name.startswith("__") and not below:
            raise AttributeError(name)
        return getattr(_real(self.__name__), name)


def _real(name: str) -> ModuleType:
    """Return the real module, imported now if it has not been."""
    for stand_in in (_COMPILER, _UTILS):
        if isinstance(sys.modules.get(stand_in), _StandIn):
            del sys.modules[stand_in]
    return importlib.import_module(name)


def _disable(function: Callable[..., Any] | None = None, recursive: bool = True, **options: Any) -> Any:
    """As ``torch._dynamo.disable``: the function as it is, kept from the compiler as soon as there is one."""
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
