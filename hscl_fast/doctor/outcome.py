"""The outcome of one check, and a wrapper that turns any exception into an outcome."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

Status = Literal["pass", "warning", "not here", "FAIL"]


@dataclass(frozen=True)
class Outcome:
    """The outcome of one check: its status, details and, if something is wrong, how to fix it."""

    name: str
    status: Status
    detail: str
    fix: str = ""


def attempt(name: str, check: Callable[[], Outcome], fix: str) -> Outcome:
    """Return the outcome of a check; an exception becomes a FAIL with its message and with ``fix``."""
    try:
        return check()
    except Exception as error:  # from a driver, a compiler or a library; the doctor continues with the next check
        return Outcome(name, "FAIL", reason_of(error), fix)


def reason_of(error: Exception) -> str:
    """Return an exception as one short line."""
    text = " ".join(str(error).split())
    return f"{type(error).__name__}: {text[:400]}" if text else type(error).__name__
