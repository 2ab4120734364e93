"""What the values of options have to be; the error names the flag, its value and what was expected."""

from __future__ import annotations

import math

from hscl_fast.errors import UsageError


def require(condition: bool, name: str, value: object, expected: str) -> None:
    """Raise a UsageError about the value of ``--name`` unless the condition holds."""
    if not condition:
        raise UsageError(f"--{name} is {value!r}, but must be {expected}. Give another value for --{name}.")


def require_positive(section: str, values: dict[str, float]) -> None:
    """Require finite values above 0 of fields of a section."""
    for name, value in values.items():
        require(value > 0 and math.isfinite(value), f"{section}.{name}", value, "greater than 0")


def require_not_negative(section: str, values: dict[str, float]) -> None:
    """Require finite values of 0 or more of fields of a section."""
    for name, value in values.items():
        require(value >= 0 and math.isfinite(value), f"{section}.{name}", value, "0 or more")


def require_counts(section: str, values: object, names: tuple[str, ...]) -> None:
    """Require values of 1 or more of some fields of a section, which is ``values``."""
    for name in names:
        require(getattr(values, name) >= 1, f"{section}.{name}", getattr(values, name), "1 or more")
