"""Makes the configuration of every run of a table."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from benchmarks.accuracy.trials import Data, Table, Trial
from hscl_fast.config.recipes import load_recipe
from hscl_fast.config.sections import Config
from hscl_fast.data.named.registry import DATA_SETS
from hscl_fast.errors import UsageError
from hscl_fast.many_runs.planned import configuration_key


@dataclass(frozen=True)
class PlannedRun:
    """One run of a trial.

    Attributes
    ----------
    table, trial, recipe
        Names of the table, the trial and its recipe.
    data
        Name of the data in the table.
    normal_class
        The normal class; None for your own images.
    seed
        Of the split and of the training.
    change
        What the trial changes in its recipe.
    config
        The whole configuration.
    """

    table: str
    trial: str
    recipe: str
    data: str
    normal_class: int | None
    seed: int
    change: Mapping[str, Mapping[str, Any]]
    config: Config

    @property
    def key(self) -> str:
        """As :func:`hscl_fast.many_runs.planned.configuration_key`."""
        return configuration_key(self.config, self.data)

    @property
    def folder(self) -> str:
        """The name of the run's directory, which two trials of the same configuration share."""
        kind = "" if self.normal_class is None else f"-class{self.normal_class}"
        return f"{self.data}{kind}-seed{self.seed}-{self.key}"

    @property
    def like(self) -> tuple[str, str]:
        """Trial and data, which decide how long a run takes."""
        return self.trial, self.data

    @property
    def title(self) -> str:
        """The run in words."""
        kind, hidden = "", ""
        if self.normal_class is not None:
            kind, hidden = f", class {self.normal_class}", f", gamma_p {self.config.data.pollution_ratio:g}"
        return f"{self.trial} on {self.data}{kind}{hidden}, seed {self.seed}"


def planned_runs(name: str, table: Table, places: Mapping[str, str], threads: int | None) -> list[PlannedRun]:
    """Return the runs of a table: all trials of one class and seed come together, so that pairs are soon complete.

    Parameters
    ----------
    name
        Of the table.
    table
        The table.
    places
        By name in the table: the folder of a named data set, the place of your own images, or a file of weights.
    threads
        ``runtime.threads`` of every run; None leaves what recipe and trial say.

    Raises
    ------
    UsageError
        A configuration is not valid, the place of own images is not given, or a place belongs to nothing in the table.
    """
    named = set(DATA_SETS)
    used: set[str] = set()
    runs = []
    for trial in table.trials:
        for data in table.data if trial.data is None else trial.data:
            classes: list[int | None] = [*data.classes] or [None]
            try:
                first = _config(trial, data, classes[0], places, named, threads, used)
                configs = [(kind, seed, _of_pair(first, kind, seed)) for kind in classes for seed in data.seeds]
            except UsageError as error:
                raise UsageError(f"the trial {trial.name!r}: {error}") from error
            for kind, seed, config in configs:
                runs.append(PlannedRun(name, trial.name, trial.recipe, data.name, kind, seed, trial.change, config))
    if unused := places.keys() - used:
        raise UsageError(f"--at gives a place for {min(unused)}, which the table {name} does not have. Leave it out.")
    order = {(run.data, run.normal_class): number for number, run in reversed([*enumerate(runs)])}
    return sorted(runs, key=lambda run: (run.seed, order[run.data, run.normal_class]))


def _config(
    trial: Trial,
    data: Data,
    normal_class: int | None,
    places: Mapping[str, str],
    named: set[str],
    threads: int | None,
    used: set[str],
) -> Config:
    """Return the configuration of a trial on its data; the names that have a place are added to ``used``."""
    sections = {section: dict(fields) for section, fields in trial.change.items()}
    images = {**sections.get("data", {}), "name": data.name}
    given = {name: getattr(data, name) for name in ("labelled_ratio", "pollution_ratio", "protocol")}
    images |= {name: value for name, value in given.items() if value is not None}
    if normal_class is not None:
        images["normal_class"] = normal_class
    if data.name in places:
        used.add(data.name)
        images["root" if data.name in named else "name"] = places[data.name]
    elif data.name not in named:
        raise UsageError(
            f"the table has the data {data.name}, which is not a named data set ({', '.join(sorted(named))}). Say "
            f"where it lies: --at {data.name}=PATH."
        )
    model = sections.get("model", {})
    if model.get("weights") in places:
        used.add(model["weights"])
        model["weights"] = places[model["weights"]]
    runtime = sections.get("runtime", {})
    if threads is not None:
        runtime["threads"] = threads
    return load_recipe(trial.recipe, **{**sections, "data": images, "runtime": runtime})


def _of_pair(config: Config, normal_class: int | None, seed: int) -> Config:
    """Return the configuration for a normal class and a seed; reading the recipe again for each would take seconds."""
    data = replace(config.data, seed=seed)
    if normal_class is not None:
        data = replace(data, normal_class=normal_class)
    return replace(config, data=data, runtime=replace(config.runtime, seed=seed))
