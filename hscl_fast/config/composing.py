"""Composes a configuration of a recipe, of what replaces parts of it, and of single fields."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any

import yaml

from hscl_fast.config.parsing import check_keys, from_dict, to_dict
from hscl_fast.config.recipes import recipe_path
from hscl_fast.config.sections import Config
from hscl_fast.config.yaml_text import read_yaml
from hscl_fast.errors import UsageError

Sections = Mapping[str, Mapping[str, Any]]


def compose_config(
    recipe: str, config: Config | Sections | str | os.PathLike[str] | None, single: Sections, origin: str
) -> Config:
    """Return a recipe's configuration with ``config`` in place of parts of it, and ``single`` fields in place of those.

    Parameters
    ----------
    recipe
        A name of :data:`hscl_fast.config.recipes.RECIPES`; not used if ``config`` is a whole configuration.
    config
        A whole configuration, sections with some of their fields, or the path of a YAML file with such sections.
    single
        Fields by section.
    origin
        Who composes it, with which errors begin.

    Raises
    ------
    UsageError
        There is no such recipe, file, section or field, or a value is out of range.
    """
    layers: list[Mapping[str, Any]] = []
    if isinstance(config, Config):
        layers.append(to_dict(config))
    else:
        layers.append(yaml.safe_load(recipe_path(recipe).read_text(encoding="utf-8")))
        if config is not None:
            layers.append(_sections(config))
    layers.append(single)
    names = dict.fromkeys(name for layer in layers for name in layer)
    merged = {name: {key: value for layer in layers for key, value in layer.get(name, {}).items()} for name in names}
    return from_dict(merged, origin)


def _sections(config: Sections | str | os.PathLike[str]) -> Mapping[str, Any]:
    if isinstance(config, Mapping):
        check_keys(config, "config")
        return config
    if not isinstance(config, str | os.PathLike):
        raise UsageError(
            f"config is a {type(config).__name__}, but must be a Config, a mapping of sections such as "
            "{'optim': {'max_steps': 100}}, or the path of a YAML file."
        )
    path = os.path.expanduser(config)
    fix = "Give a YAML file, such as the config.yaml of a run"
    try:
        plain = read_yaml(path)
    except UnicodeError as error:
        raise UsageError(f"config {path} is not text in UTF-8 ({error}). {fix}, and save it in UTF-8.") from error
    except OSError as error:
        raise UsageError(f"config {path} cannot be read ({error.strerror}). {fix}.") from error
    except yaml.YAMLError as error:
        raise UsageError(f"config {path} is not valid YAML: {' '.join(str(error).split())}. {fix}.") from error
    if not isinstance(plain, Mapping):
        raise UsageError(f"config {path} has no sections. {fix}.")
    check_keys(plain, f"config {path}")
    return plain
