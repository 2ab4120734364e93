"""Files from outside, read into strict models: one short reason in place of a validator's many lines."""

from __future__ import annotations

from pydantic import ValidationError


def first_problem(error: ValidationError) -> str:
    """Return what is wrong first: the key, what was found and what was expected."""
    problem = error.errors(include_url=False)[0]
    key = ".".join(str(part) for part in problem["loc"])
    found = repr(problem["input"])
    shown = found if len(found) <= 60 else found[:57] + "..."
    match problem["type"]:
        case "missing":
            return f"the key {key!r} is missing"
        case "extra_forbidden":
            return f"the key {key!r} is unknown"
        case _:
            where = f"{key} is {shown}: " if key else ""
            message = problem["msg"].removeprefix("Value error, ")
            return where + message[:1].lower() + message[1:]
