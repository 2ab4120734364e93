"""Writes the tables of docs/options.md from the configuration's docstrings: ``python docs/options_tables.py``."""

from __future__ import annotations

import inspect
from collections.abc import Iterator
from dataclasses import asdict, fields
from pathlib import Path

from hscl_fast.config.parsing import to_dict
from hscl_fast.config.policies import POLICIES
from hscl_fast.config.recipes import RECIPES, load_recipe
from hscl_fast.config.sections import SECTIONS, Config

PAGE = Path(__file__).with_name("options.md")
BY_POLICY = "by policy"  # the default of the fields that a view policy sets


def describe_fields(section: type) -> dict[str, str]:
    """Return what the numpydoc docstring of a section says of each of its fields, as one line of Markdown."""
    described: dict[str, list[str]] = {}
    names: list[str] = []
    _, _, parameters = inspect.getdoc(section).partition("Parameters\n----------\n")
    for line in parameters.splitlines():
        if line and not line.startswith(" "):
            names = line.split(", ")
            described |= {name: [] for name in names}
        else:
            for name in names:
                described[name].append(line.strip())
    return {name: " ".join(lines).strip().replace("``", "`").replace("|", "\\|") for name, lines in described.items()}


def field_table(name: str) -> str:
    """Return the table of one section: flag, default, meaning."""
    section = SECTIONS[name]
    meanings = describe_fields(section)
    by_policy = set(asdict(POLICIES["none"])) if name == "augment" else set()
    rows = []
    for field in fields(section):
        default = BY_POLICY if field.name in by_policy else _shown(field.default)
        rows.append(f"| `--{name}.{field.name}` | {default} | {meanings[field.name]} |")
    return "\n".join(["| flag | default | meaning |", "| --- | --- | --- |", *rows])


def policy_table() -> str:
    """Return the numbers of every view policy."""
    policies = {name: asdict(policy) for name, policy in POLICIES.items()}
    head = f"| | {' | '.join(f'`{name}`' for name in policies)} |\n|{' --- |' * (len(policies) + 1)}"
    rows = [
        f"| `{number}` | {' | '.join(_shown(policy[number]) for policy in policies.values())} |"
        for number in policies["none"]
    ]
    return "\n".join([head, *rows])


def recipe_table() -> str:
    """Return every field in which a recipe differs from the defaults above."""
    usual, recipes = to_dict(Config()), {name: to_dict(load_recipe(name)) for name in sorted(RECIPES)}
    head = f"| | default | {' | '.join(f'`{name}`' for name in recipes)} |\n|{' --- |' * (len(recipes) + 2)}"
    rows = []
    for section, values in usual.items():
        for field, default in values.items():
            given = [recipe[section][field] for recipe in recipes.values()]
            if any(value != default for value in given):
                cells = [_shown(default), *("" if value == default else _shown(value) for value in given)]
                rows.append(f"| `--{section}.{field}` | {' | '.join(cells)} |")
    return "\n".join([head, *rows])


def tables() -> Iterator[tuple[str, str]]:
    """Yield the name and the text of every table on the page."""
    yield "recipes", recipe_table()
    for name in SECTIONS:
        yield name, field_table(name)
    yield "policies", policy_table()


def updated(page: str) -> str:
    """Return the text of the page with every table written anew.

    Raises
    ------
    ValueError
        The page has no place for a table.
    """
    for name, text in tables():
        begin, end = f"<!-- {name}: written by docs/options_tables.py -->", f"<!-- {name}: end -->"
        before, found, rest = page.partition(begin)
        _, closed, after = rest.partition(end)
        if not (found and closed):
            raise ValueError(f"docs/options.md lacks the line {begin!r} or, after it, {end!r}")
        page = f"{before}{begin}\n{text}\n{end}{after}"
    return page


def _shown(value: object) -> str:
    if value is None:
        return "unset"
    if isinstance(value, bool):
        return f"`{str(value).lower()}`"
    if isinstance(value, (list, tuple)):
        return f"`[{', '.join(f'{item:.4g}' for item in value)}]`"
    return f"`{value}`"


if __name__ == "__main__":
    PAGE.write_text(updated(PAGE.read_text(encoding="utf-8")), encoding="utf-8")
