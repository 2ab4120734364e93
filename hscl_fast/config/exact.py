"""Recognises values that need no conversion, as in every ``config.yaml`` that a run has written.

Making a parser for them takes a tenth of a second.
"""

from __future__ import annotations

import types
from collections.abc import Mapping
from typing import Any, Literal, Union, get_args, get_origin, get_type_hints

from hscl_fast.config.sections import SECTIONS


def exact_sections(plain: Mapping[str, Any]) -> dict[str, dict[str, Any]] | None:
    """Return the arguments of each section, or None if a value is not exactly of its field's type.

    Parameters
    ----------
    plain
        Sections by name, whose keys are fields: see :func:`hscl_fast.config.parsing.check_keys`. A list stands for a
        tuple.
    """
    sections: dict[str, dict[str, Any]] = {}
    for name, values in plain.items():
        hints = get_type_hints(SECTIONS[name])
        if not all(_is(value, hints[key]) for key, value in values.items()):
            return None
        sections[name] = {key: tuple(value) if type(value) is list else value for key, value in values.items()}
    return sections


def _is(value: object, hint: Any) -> bool:
    kind, inner = get_origin(hint), get_args(hint)
    if kind in (Union, types.UnionType):
        return any(_is(value, some) for some in inner)
    if kind is Literal:
        return any(type(value) is type(choice) and value == choice for choice in inner)
    if kind is tuple:
        if type(value) is not list:
            return False
        if inner[1:] == (...,):
            return all(_is(item, inner[0]) for item in value)
        return len(value) == len(inner) and all(map(_is, value, inner))
    return type(value) is hint
