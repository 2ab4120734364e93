"""The recipe that a configuration is closest to, and in what it differs from it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import yaml

from hscl_fast.config.parsing import to_dict
from hscl_fast.config.recipes import RECIPES, recipe_path
from hscl_fast.config.sections import Config

Difference = tuple[str, Any, Any]


def closest_recipe(config: Mapping[str, Mapping[str, Any]]) -> tuple[str, list[Difference]]:
    """Return the recipe with the fewest differences from a configuration, and these.

    Parameters
    ----------
    config
        Sections of plain values, as :func:`hscl_fast.config.parsing.to_dict` returns them.

    Returns
    -------
    str, list of (option, value, value in the recipe)
        The options are ``section.field``, in the order of the configuration.

    Examples
    --------
    >>> from hscl_fast.config.recipes import load_recipe
    >>> closest_recipe(to_dict(load_recipe("cpu", optim={"max_steps": 40})))
    ('cpu', [('optim.max_steps', 40, 4000)])
    """
    found = {name: differences(config, _plain(name)) for name in RECIPES}
    best = min(found, key=lambda name: len(found[name]))
    return best, found[best]


def differences(config: Mapping[str, Mapping[str, Any]], other: Mapping[str, Mapping[str, Any]]) -> list[Difference]:
    """Return the options in which two configurations differ, with both values; None where the other has none."""
    return [
        (f"{section}.{name}", value, other.get(section, {}).get(name))
        for section, values in config.items()
        for name, value in values.items()
        if value != other.get(section, {}).get(name)
    ]


def _plain(name: str) -> dict[str, dict[str, Any]]:
    recipe = yaml.safe_load(recipe_path(name).read_text(encoding="utf-8"))
    return {section: {**values, **recipe.get(section, {})} for section, values in to_dict(Config()).items()}
