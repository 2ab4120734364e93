"""The outcome of one check, and checks that may raise anything."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

Status = Literal["pass", "warning", "not here", "FAIL"]


@dataclass(frozen=True)
class Outcome:
    """One check: its status, what was seen, and how to fix it where something is wrong."""

    name: str
    status: Status
    detail: str
    fix: str = ""


def attempt(name: str, check: Callable[[], Outcome], fix: str) -> Outcome:
    """Return the outcome of a check; whatever it raises is a FAIL with that message, and ``fix`` says what to do."""
    try:
        return check()
    except Exception as error:  # a driver's, a compiler's or a library's: the doctor goes on to the next check
        return Outcome(name, "FAIL", reason_of(error), fix)


def reason_of(error: Exception) -> str:
    """Return an exception as one short line."""
    text = " ".join(str(error).split())
    return f"{type(error).__name__}: {text[:400]}" if text else type(error).__name__
