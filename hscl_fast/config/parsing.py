"""Converts between the configuration and flags or plain dictionaries."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from dataclasses import asdict, fields
from typing import Any, get_args, get_type_hints

import yaml
from jsonargparse import ArgumentParser, Namespace, get_loader, set_loader

from hscl_fast.config.exact import exact_sections
from hscl_fast.config.plain_parser import PlainParser, expectation
from hscl_fast.config.sections import SECTIONS, Config
from hscl_fast.config.yaml_text import load_yaml
from hscl_fast.errors import UsageError
from hscl_fast.spelling import did_you_mean

_load_yaml = get_loader("yaml")


def _load_words(text: str) -> Any:
    # A path that is not UTF-8 is written as lone surrogates, which only the parser of PyYAML's own reads.
    plain = load_yaml(text) if re.search(r"\\u[Dd][89A-Fa-f]", text) else load_yaml(text, _load_yaml)
    return _with_words(plain)


def _with_words(plain: Any) -> Any:
    """Return plain sections in which ``compile: off`` is the word: YAML 1.1 takes it for False."""
    runtime = plain.get("runtime") if isinstance(plain, Mapping) else None
    if not isinstance(runtime, Mapping) or runtime.get("compile") is not False:
        return plain
    return {**plain, "runtime": {**runtime, "compile": "off"}}


# What reads --config, recipes and the config.yaml of a run to resume.
set_loader("yaml", _load_words, (yaml.YAMLError,))


def to_dict(config: Config) -> dict[str, Any]:
    """Return the configuration as plain nested dictionaries (tuples as lists), ready for YAML or JSON."""
    plain = asdict(config)
    for section in plain.values():
        for name, value in section.items():
            if isinstance(value, tuple):
                section[name] = list(value)
    return plain


def add_sections(parser: ArgumentParser) -> None:
    """Give a parser one option for every field of the configuration, ``--section.field``."""
    for name, section in SECTIONS.items():
        parser.add_class_arguments(section, name)


def from_namespace(options: Namespace) -> Config:
    """Return the configuration that a parser with :func:`add_sections` read."""
    return Config(**{name: section(**vars(options[name])) for name, section in SECTIONS.items()})


def from_dict(plain: object, origin: str) -> Config:
    """Return the configuration that plain nested dictionaries describe; missing fields take the class defaults.

    Raises
    ------
    UsageError
        ``plain`` is not a mapping, or has an unknown key, a value of the wrong type or a value out of range. The
        message begins with ``origin``.
    """
    if not isinstance(plain, Mapping):
        raise UsageError(
            f"{origin} holds a {type(plain).__name__}, but must be a mapping with the sections {', '.join(SECTIONS)}."
        )
    check_keys(plain, origin)
    plain = dict(_with_words(plain))
    try:
        exact = exact_sections(plain)
        if exact is not None:
            return Config(**{name: SECTIONS[name](**section) for name, section in exact.items()})
        parser = PlainParser(prog="hscl train")
        add_sections(parser)
        return from_namespace(parser.parse_object(plain))
    except UsageError as error:
        raise UsageError(f"{origin}: {str(error).removeprefix('--')}") from error


def check_keys(plain: Mapping[Any, Any], origin: str, *, others: Collection[str] = ()) -> None:
    """Raise a UsageError, which begins with ``origin``, unless all sections and their keys are known and have values.

    Parameters
    ----------
    plain
        Sections by name.
    origin
        Where they come from.
    others
        Names beside the sections that may be there as well.
    """
    names = (*SECTIONS, *others)
    everywhere = [f"{section}.{field.name}" for section in SECTIONS for field in fields(SECTIONS[section])]
    for name, section in plain.items():
        if name not in names:
            meant = did_you_mean(str(name), (*names, *everywhere))
            raise UsageError(
                f"{origin} has the unknown section {name}.{meant} Correct it, or remove it; the sections are "
                f"{', '.join(SECTIONS)}."
            )
        if name in SECTIONS:
            _check_section(name, section, origin, everywhere)


def _check_section(name: str, section: object, origin: str, everywhere: Collection[str]) -> None:
    hints = get_type_hints(SECTIONS[name])
    if not isinstance(section, Mapping):
        raise UsageError(
            f"{origin}: the section {name} is {_null(section)}, but must have one line `key: value` for each field, "
            f"indented below `{name}:`. Its keys are {', '.join(hints)}."
        )
    for key, value in section.items():
        if key not in hints:
            meant = did_you_mean(f"{name}.{key}", everywhere)
            raise UsageError(
                f"{origin} has the unknown key {name}.{key}.{meant} Correct it, or remove it; the keys of {name} are "
                f"{', '.join(hints)}."
            )
        if value is None and type(None) not in get_args(hints[key]):  # the parser takes null for unset
            raise UsageError(
                f"{origin}: {name}.{key} is null, but must be {expectation(hints[key])}. Give a value, or remove it."
            )


def _null(value: object) -> str:
    return "null" if value is None else repr(value)
