"""Reads YAML from outside: plain values of bounded depth, without aliases, which can make a short text endless."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any

import yaml

from hscl_fast.limited_file import read_limited

_LARGEST = 1 << 18  # bytes; a whole configuration has three thousand
_DEEPEST = 8
_LONGEST = 4096  # letters of a value, the longest path


def load_yaml(text: str, load: Callable[[str], Any] = yaml.safe_load) -> Any:
    """Return the value of a YAML text, as ``load`` reads it.

    Raises
    ------
    yaml.YAMLError
        It is not valid YAML, or has an alias, more levels than a configuration or a tag that is not plain.
    """
    try:
        _check_structure(text)
        return load(text)
    except (ValueError, RecursionError, OverflowError) as error:  # a date such as 2001-99-99, a number of 5,000 digits
        raise yaml.YAMLError(f"a value is not valid ({error})") from error


def read_yaml(path: str | os.PathLike[str]) -> Any:
    """Return the value of a YAML file: see :func:`load_yaml`.

    Raises
    ------
    yaml.YAMLError
        As in :func:`load_yaml`.
    OSError, UnicodeError
        It is not a regular file in UTF-8 of a configuration's size.
    """
    return load_yaml(read_limited(path, _LARGEST).decode("utf-8"))


def _check_structure(text: str) -> None:
    depth = 0
    for event in yaml.parse(text, yaml.SafeLoader):
        if isinstance(event, yaml.AliasEvent):
            raise yaml.YAMLError(f"it has the alias *{event.anchor}; write the value itself in its place")
        if isinstance(event, yaml.ScalarEvent) and len(event.value) > _LONGEST:
            raise yaml.YAMLError(f"it has a value of {len(event.value):,} letters")
        if isinstance(event, yaml.CollectionStartEvent):
            depth += 1
            if depth > _DEEPEST:
                raise yaml.YAMLError(f"it has more than {_DEEPEST} levels")
        elif isinstance(event, yaml.CollectionEndEvent):
            depth -= 1
