"""Converts between the configuration and flags or plain dictionaries."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

from jsonargparse import ArgumentError, ArgumentParser, Namespace, get_loader, set_loader
from yaml import YAMLError

from hscl_fast.config.sections import SECTIONS, Config
from hscl_fast.errors import UsageError

_load_yaml = get_loader("yaml")


def _load_words(text: str) -> Any:
    return _with_words(_load_yaml(text))


def _with_words(plain: Any) -> Any:
    """Return plain sections in which ``compile: off`` is the word: YAML 1.1 takes it for False."""
    runtime = plain.get("runtime") if isinstance(plain, Mapping) else None
    if not isinstance(runtime, Mapping) or runtime.get("compile") is not False:
        return plain
    return {**plain, "runtime": {**runtime, "compile": "off"}}


set_loader("yaml", _load_words, (YAMLError,))  # what reads --config, recipes and the config.yaml of a run to resume


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
    unknown = sorted(str(name) for name in plain if name not in SECTIONS)
    if unknown:  # the parser overlooks an unknown section that is empty
        raise UsageError(
            f"{origin} has the unknown section {', '.join(unknown)}. The sections are {', '.join(SECTIONS)}; correct "
            "the name, or remove it."
        )
    parser = ArgumentParser(exit_on_error=False)
    add_sections(parser)
    try:
        return from_namespace(parser.parse_object(dict(_with_words(plain))))
    except ArgumentError as error:
        raise UsageError(f"{origin}: {plain_message(error)} Correct that key, or remove it.") from error


def plain_message(error: Exception) -> str:
    """Return a parser's error as one paragraph that ends with a full stop."""
    text = " ".join(str(error).split())
    return text if text.endswith(".") else text + "."
