"""Reads JSON files from outside as strict pydantic models; an error is one paragraph."""

from __future__ import annotations

import json
import math
import reprlib
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any, NoReturn, TypeVar

from pydantic import AfterValidator, BaseModel, ConfigDict, FailFast, Field, PlainValidator, ValidationError

from hscl_fast.errors import UsageError
from hscl_fast.limited_file import read_limited

_LARGEST = 96 << 20  # bytes, the split record of two million images; as Python values they take up to 1.5 GiB
_MOST_OBJECTS = 2_000_000

_SHORT = reprlib.Repr()
_SHORT.maxstring = _SHORT.maxother = 60


class StrictModel(BaseModel):
    """A model that converts no value, allows no unknown key and cannot be changed."""

    model_config = ConfigDict(strict=True, extra="forbid", frozen=True)


def _require_one(version: int) -> int:
    if version != 1:
        raise ValueError(f"is {short(version)}, expected 1")
    return version


def _require_number(value: Any) -> float:
    if type(value) is not int and not (type(value) is float and math.isfinite(value)):
        raise ValueError(f"is {short(value)}, expected a finite number")
    return value


# Not Literal[1], which takes True and 1.0 for 1.
VersionOne = Annotated[int, AfterValidator(_require_one)]
# Not float, which makes 0.0 of a 0: a file that is written again must have the same bytes.
Number = Annotated[float, PlainValidator(_require_number)]
# A list in which the first wrong value ends the check: a description of each of millions would fill the memory.
Item = TypeVar("Item")
Column = Annotated[list[Item], FailFast()]
Sha256 = Annotated[str, Field(pattern="^[0-9a-f]{64}$")]

Model = TypeVar("Model", bound=StrictModel)


def read_strict(path: Path, model: type[Model], refusal: Callable[[str], UsageError]) -> Model:
    """Read a JSON file as a model.

    Parameters
    ----------
    path
        The file, in UTF-8.
    model
        The model. A :class:`ValueError` of a field's validator is a predicate such as ``is 2, expected 1``; one of a
        model's validator is a whole sentence.
    refusal
        Builds the error from a reason such as ``it is not JSON``.

    Raises
    ------
    UsageError
        As ``refusal`` returns it: the file is missing, is not a JSON object, or does not fit the model.
    """
    try:
        text = read_limited(path, _LARGEST).decode("utf-8")
        if text.count("{") + text.count("[") > _MOST_OBJECTS:
            raise ValueError(f"it has more than {_MOST_OBJECTS:,} objects and lists")
        # pydantic's own parser refuses lone surrogates, which stand for bytes of file names that are not UTF-8.
        plain = json.loads(text, parse_constant=_refuse_constant)
    except FileNotFoundError:
        raise refusal("there is no such file") from None
    except OSError as error:
        refused = error.errno == 0  # by read_limited, whose reason is a sentence
        raise refusal(f"{error.strerror}" if refused else f"it cannot be read ({error.strerror})") from None
    except (ValueError, RecursionError) as error:
        raise refusal(f"it is not JSON ({error})") from None
    if not isinstance(plain, dict):
        raise refusal("it is not a JSON object")
    try:
        return model.model_validate(plain)
    except ValidationError as error:
        raise refusal(first_problem(error)) from None


def short(value: object) -> str:
    """Return the ``repr`` of a value, cut where it is long or deeply nested.

    >>> short("train/normal/0.png")
    "'train/normal/0.png'"
    >>> short([[[[[[[[]]]]]]]])
    '[[[[[[[...]]]]]]]'
    """
    return _SHORT.repr(value)


def _refuse_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is not a JSON number")


def first_problem(error: ValidationError) -> str:
    """Return a description of the first problem: the key, its value and what is expected."""
    problem = error.errors(include_url=False)[0]
    key = ".".join(short(part).strip("'\"") for part in problem["loc"])
    if problem["type"] == "missing":
        return f"the key {key} is missing"
    if problem["type"] == "extra_forbidden":
        return f"the key {key} is unknown"
    if problem["type"] == "value_error":
        return f"{key} {problem['ctx']['error']}".strip()
    if problem["type"] == "model_type":
        return f"{key} is {short(problem['input'])}, but should be a JSON object"
    # pydantic says "Input should be a valid integer".
    expected = problem["msg"].partition("should ")[2] or problem["msg"]
    return f"{key} is {short(problem['input'])}, but should {expected}"
