"""Reads a table of trials, a YAML file."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import yaml
from pydantic import Field, ValidationError

from hscl_fast.config.sections import SECTIONS
from hscl_fast.config.yaml_text import read_yaml
from hscl_fast.errors import UsageError
from hscl_fast.strict_json import StrictModel, first_problem


class Data(StrictModel):
    """The data of a trial.

    Attributes
    ----------
    name
        A data-set name, or a name for your own images, whose place the command line says.
    classes
        Normal classes; none for your own images, which come with roles.
    seeds
        Seeds, each of the split and of the training.
    labelled_ratio, pollution_ratio, protocol
        Fields of the section ``data``; None leaves what the recipe says.
    """

    name: str = Field(pattern=r"^[\w.-]+$")
    classes: list[int] = Field(default=[])
    seeds: list[int] = Field(default=[0], min_length=1)
    labelled_ratio: float | None = None
    pollution_ratio: float | None = None
    protocol: str | None = None


class Trial(StrictModel):
    """A recipe with some options changed.

    Attributes
    ----------
    name
        What the page calls it.
    recipe
        The recipe.
    change
        For each section the fields to change.
    data
        In place of the data of the whole table.
    """

    name: str = Field(pattern=r"^[^|\n]+$")
    recipe: str
    change: dict[str, dict[str, Any]] = Field(default={})
    data: list[Data] | None = None


class Table(StrictModel):
    """Trials that are compared with the first of them.

    Attributes
    ----------
    title
        Heading of their section on the page.
    data
        The data of every trial that names none.
    trials
        The trials; the first is the reference of paired differences.
    """

    title: str
    data: list[Data] = Field(default=[])
    trials: list[Trial] = Field(min_length=1)


def read_table(path: Path) -> Table:
    """Return the table in a YAML file.

    Raises
    ------
    UsageError
        It is not there, is not YAML, or does not describe trials.
    """
    try:
        table = Table.model_validate(read_yaml(path))
    except ValidationError as error:
        raise UsageError(
            f"{path} is not a table of trials: {first_problem(error)}. Correct it; the tables in "
            "benchmarks/accuracy/tables are examples."
        ) from error
    except (OSError, UnicodeError, yaml.YAMLError) as error:
        raise UsageError(
            f"{path} cannot be read: {' '.join(str(error).split())}. Give a YAML file with a table of trials."
        ) from error
    names = [trial.name for trial in table.trials]
    for trial in table.trials:
        if names.count(trial.name) > 1:
            raise UsageError(
                f"{path} has {names.count(trial.name)} trials named {trial.name!r}. Give each its own name."
            )
        if not (table.data if trial.data is None else trial.data):
            raise UsageError(f"{path}: the trial {trial.name!r} has no data. Add `data:` to it or to the table.")
        if unknown := trial.change.keys() - SECTIONS.keys():
            raise UsageError(
                f"{path}: the trial {trial.name!r} changes the unknown section {min(unknown)}. The sections are "
                f"{', '.join(SECTIONS)}."
            )
    return table
