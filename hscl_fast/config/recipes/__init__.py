"""The recipes: named sets of defaults, one YAML file each, which ``--config`` and flags override."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import yaml

from hscl_fast.config.parsing import from_dict
from hscl_fast.config.sections import Config
from hscl_fast.errors import UsageError
from hscl_fast.spelling import did_you_mean

_FOLDER = Path(__file__).parent
RECIPES = tuple(sorted(path.stem for path in _FOLDER.glob("*.yaml")))


def recipe_path(name: str) -> Path:
    """Return the YAML file of a recipe.

    Raises
    ------
    UsageError
        There is no such recipe.
    """
    if name not in RECIPES:
        listed = ", ".join(RECIPES)
        raise UsageError(
            f"--recipe is {name!r}, but must be one of {listed}.{did_you_mean(name, RECIPES)} Give one of these."
        )
    return _FOLDER / f"{name}.yaml"


def load_recipe(name: str, **sections: dict[str, Any]) -> Config:
    """Return a recipe's configuration with some fields replaced.

    Parameters
    ----------
    name
        One of ``RECIPES``.
    **sections
        For each section the fields to replace.

    Raises
    ------
    UsageError
        There is no such recipe, section or field, or a value is out of range.

    Examples
    --------
    >>> config = load_recipe("cpu", data={"name": "digits"}, optim={"max_steps": 40})
    >>> config.optim.max_steps, config.optim.batch_size
    (40, 64)
    """
    recipe = yaml.safe_load(recipe_path(name).read_text(encoding="utf-8"))
    merged = {section: {**recipe.get(section, {}), **sections.get(section, {})} for section in {**recipe, **sections}}
    return from_dict(merged, f"recipe {name}")
