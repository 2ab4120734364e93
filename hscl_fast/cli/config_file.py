"""The argument ``--config``: a YAML file, which is checked before its values are."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any

import yaml
from jsonargparse import ActionConfigFile

from hscl_fast.config.parsing import check_keys
from hscl_fast.config.yaml_text import read_yaml
from hscl_fast.errors import UsageError


class ConfigFile(ActionConfigFile):
    """Reads the file; every error begins with its name."""

    def __call__(self, parser: Any, cfg: Any, values: Any, option_string: str | None = None) -> None:
        path = os.path.expanduser(values)
        named = f"--config {path}"
        plain = _read(path, named)
        if not isinstance(plain, Mapping):
            raise UsageError(f"{named} holds {_kind(plain)}, but must have the sections of the config.yaml of a run.")
        check_keys(plain, named, others=[action.dest for action in parser._actions])
        try:
            super().__call__(parser, cfg, path, option_string)
        except UsageError as error:
            raise UsageError(f"{named}: {str(error).removeprefix('--')}") from error


def _read(path: str, named: str) -> Any:
    fix = "Give a YAML file, such as the config.yaml of a run"
    try:
        return read_yaml(path)
    except (OSError, ValueError) as error:
        if isinstance(error, UnicodeError):
            raise UsageError(f"{named} is not text in UTF-8 ({error}). {fix}, and save it in UTF-8.") from error
        raise UsageError(f"{named} cannot be read ({getattr(error, 'strerror', error)}). {fix}.") from error
    except yaml.YAMLError as error:
        raise UsageError(f"{named} is not valid YAML: {' '.join(str(error).split())}. {fix}.") from error


def _kind(plain: object) -> str:
    return "nothing" if plain is None else f"a {type(plain).__name__}"
