"""Makes the configuration of every run behind a table or a figure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Literal

from hscl_fast.config.methods import COMPARATORS
from hscl_fast.config.recipes import load_recipe
from hscl_fast.config.sections import Config
from hscl_fast.data.named.registry import DATA_SETS, DEFAULT_ROOT
from hscl_fast.data.paths import at_home
from hscl_fast.errors import UsageError
from hscl_fast.many_runs.planned import configuration_key
from hscl_fast.reproduce.budgets import BUDGETS, Budget
from hscl_fast.reproduce.scenario import HSCL, HSCL_RELEASED, Changes, Column, Row, Scenario
from hscl_fast.spelling import did_you_mean

SplitName = Literal["elsa", "released"]
_OURS = {HSCL: "paper", HSCL_RELEASED: "released"}  # recipes
ALL_LABELLED = "labelled"  # the protocol of Scenario 3
_TITLES = {HSCL: "HSCL", HSCL_RELEASED: "HSCL, released objective"}


@dataclass(frozen=True)
class Request:
    """What a user asks for.

    Attributes
    ----------
    out
        The folder of runs and results.
    budget
        How much is run.
    splits
        The splits, each of which gives a table of its own.
    methods
        Rows by method; None: those of the paper.
    classes
        Normal classes; None: those of the budget.
    seeds
        Number of seeds, each of the split and of the training.
    known
        The most known anomaly classes per normal class; None: those of the budget.
    root, roots
        The folder of the data sets, and of some of them by name.
    stand_in
        A data set in place of all of the paper's.
    mode
        Of the comparators.
    change
        Changes in every configuration, after those of the budget.
    """

    out: Path
    budget: Budget = field(default_factory=lambda: BUDGETS["full"])
    splits: tuple[SplitName, ...] = ("elsa",)
    methods: tuple[str, ...] | None = None
    classes: tuple[int, ...] | None = None
    seeds: int = 1
    known: int | None = None
    root: str | None = None
    roots: Mapping[str, str] = field(default_factory=dict)
    stand_in: str | None = None
    mode: str = "shared"
    change: Changes = field(default_factory=dict)

    @property
    def runs(self) -> Path:
        """The folder of all runs, which the tables share."""
        return self.out / "runs"

    @property
    def made_data(self) -> Path:
        """The folder of data that is made for the smoke budget."""
        return self.out / "smoke-data"


@dataclass(frozen=True)
class EntryRun:
    """One run behind a cell: a :class:`hscl_fast.many_runs.planned.PlannedRun`."""

    method: str
    split: str
    normal_class: int
    known: int | None
    seed: int
    config: Config

    @property
    def data(self) -> str:
        """Name of its data set."""
        return self.config.data.name

    @property
    def folder(self) -> str:
        """The name of its directory, which cells of the same configuration share."""
        return f"{self.method}-{self.data}-class{self.normal_class}-{configuration_key(self.config, self.data)}"

    @property
    def like(self) -> tuple[str, str]:
        """Method and data, which decide how long a run takes."""
        return self.method, self.data

    @property
    def title(self) -> str:
        """The run in words."""
        known = "" if self.known is None else f", known class {self.known}"
        data, ratios = self.config.data, ""
        if data.protocol != ALL_LABELLED:
            ratios = f", gamma_l {data.labelled_ratio:g}, gamma_p {data.pollution_ratio:g}"
        place = f"{self.data}, {data.protocol}, class {self.normal_class}"
        return f"{self.method} on {place}{known}{ratios}, seed {self.seed}"


@dataclass(frozen=True)
class Cell:
    """A cell of a table.

    Attributes
    ----------
    split
        The split of its table.
    row, column
        Its place.
    runs
        The runs that it is the mean of.
    wanted
        The number of runs behind the paper's figure, by its text.
    missing
        Why it cannot be run here; None if it can.
    """

    split: SplitName
    row: Row
    column: Column
    runs: tuple[EntryRun, ...]
    wanted: int
    missing: str | None = None


@dataclass(frozen=True)
class Plan:
    """A scenario as it is run.

    Attributes
    ----------
    scenario, request
        What was asked for.
    rows, columns
        Of the table.
    cells
        All cells that have runs, or would have if their data were here.
    """

    scenario: Scenario
    request: Request
    rows: tuple[Row, ...]
    columns: tuple[Column, ...]
    cells: tuple[Cell, ...]

    @property
    def runs(self) -> list[EntryRun]:
        """The different runs, those of one normal class and seed together, so that rows can soon be compared."""
        every = [run for cell in self.cells for run in cell.runs]
        different = {run.folder: run for run in every}
        return sorted(different.values(), key=lambda run: (run.seed, run.data, run.normal_class, run.known or 0))


def known_methods() -> tuple[str, ...]:
    """Return the methods that can be run: ours and the comparators."""
    return (*_OURS, *COMPARATORS)


def make_plan(scenario: Scenario, request: Request) -> Plan:
    """Make the configurations of a scenario.

    Raises
    ------
    UsageError
        A method, class or change is not valid.
    """
    rows = _rows(scenario, request.methods)
    columns = _columns(scenario, request)
    cells = tuple(
        _cell(scenario, row, column, split, request, request.budget.columns_of(row, scenario, columns))
        for split in _splits(scenario, request)
        for row in rows
        for column in columns
        if row.is_run_in(column)
    )
    return Plan(scenario, request, rows, columns, cells)


def _splits(scenario: Scenario, request: Request) -> tuple[SplitName, ...]:
    # Where all images are labelled, the splits do not differ.
    return request.splits if scenario.known else request.splits[:1]


def _rows(scenario: Scenario, methods: Sequence[str] | None) -> tuple[Row, ...]:
    if methods is None:
        return scenario.rows
    rows: list[Row] = []
    for method in methods:
        if method not in known_methods():
            listed = ", ".join(known_methods())
            raise UsageError(
                f"--methods has {method!r}, which is not a method.{did_you_mean(method, known_methods())} Give some "
                f"of {listed}."
            )
        found = [row for row in scenario.rows if row.method == method]
        rows += found or [Row(_TITLES[method] if method in _TITLES else COMPARATORS[method].title, method)]
    return tuple(rows)


def _columns(scenario: Scenario, request: Request) -> tuple[Column, ...]:
    """Return the columns; with one data set in place of all, those that would be repeated are left out."""
    if request.stand_in is None:
        return scenario.columns
    first: dict[str, Column] = {}
    for column in scenario.columns:
        first.setdefault(str({**column.change, "data": _without_superclasses(column.change)}), column)
    return tuple(first.values())


def _without_superclasses(change: Changes) -> dict[str, Any]:
    return {name: value for name, value in change.get("data", {}).items() if name != "superclasses"}


def _cell(
    scenario: Scenario, row: Row, column: Column, split: SplitName, request: Request, run_in: Sequence[Column]
) -> Cell:
    change = _merged({"data": {"name": column.data}}, column.change, row.change)
    data = change["data"]["name"]
    budget = request.budget
    count = DATA_SETS[data].classes
    of_paper = range(count) if scenario.classes is None else scenario.classes
    every_known = scenario.known and split == "elsa" and _uses_anomalies(row.method)
    wanted = len(of_paper) * (count - 1 if every_known else 1)
    if column not in run_in:
        return Cell(split, row, column, (), wanted)
    if row.method not in known_methods():
        return Cell(split, row, column, (), wanted, f"{row.title} is not part of this version")
    data = request.stand_in or budget.stand_ins.get(data, data)
    change["data"] |= {"name": data, "root": _root(data, request)}
    if data != "cifar100":
        change["data"].pop("superclasses", None)
    if missing := _missing(data, request):
        return Cell(split, row, column, (), wanted, missing)
    change["data"]["protocol"] = split if scenario.known else ALL_LABELLED
    if row.method not in _OURS:
        change = _merged(
            change, {"method": {"name": row.method, "mode": request.mode}, "evaluate": {"scoring": "auto"}}
        )
    config = load_recipe(_OURS.get(row.method, "paper"), **_merged(change, budget.change, request.change))
    classes = request.classes
    if classes is None or not scenario.known:
        classes = scenario.classes or budget.classes.get(data) or tuple(range(DATA_SETS[data].classes))
    if wrong := [number for number in classes if number >= DATA_SETS[data].classes]:
        raise UsageError(
            f"--classes has {wrong[0]}, but {data} has the classes 0 to {DATA_SETS[data].classes - 1}. Give some of "
            "these."
        )
    labels = scenario.known and split == "elsa"
    known = (request.known or budget.known) if every_known else 1
    runs = tuple(
        _run(row.method, split, config, number, other, seed)
        for seed in range(request.seeds)
        for number in classes
        for other in (_known_classes(number, DATA_SETS[data].classes, known) if labels else (None,))
    )
    return Cell(split, row, column, runs, wanted)


def _uses_anomalies(method: str) -> bool:
    """Whether a method learns from labelled anomalies, so that it matters which class they are of."""
    return method not in COMPARATORS or COMPARATORS[method].labels != "none"


def _known_classes(normal: int, count: int, most: int | None) -> tuple[int, ...]:
    """Return the classes that labelled anomalies come from in turn, beginning with the class after the normal one."""
    return tuple((normal + step) % count for step in range(1, count))[:most]


def _run(method: str, split: str, config: Config, normal: int, known: int | None, seed: int) -> EntryRun:
    data = replace(config.data, normal_class=normal, known_abnormal_class=known, seed=seed)
    return EntryRun(
        method, split, normal, known, seed, replace(config, data=data, runtime=replace(config.runtime, seed=seed))
    )


def _root(data: str, request: Request) -> str | None:
    """Return the folder of a data set as an absolute path; None for one that comes with scikit-learn."""
    if not any(DATA_SETS[data].layouts(DEFAULT_ROOT, True)):
        return None
    given = request.roots.get(data, request.root)
    if request.budget.is_smoke and given is None:
        return str(request.made_data.absolute())
    return None if given is None else str(at_home(given).absolute())


def _missing(data: str, request: Request) -> str | None:
    """Return why a data set cannot be opened; None if its files are there, or will be made."""
    root = _root(data, request)
    if root == str(request.made_data.absolute()):
        return None
    try:
        DATA_SETS[data].find(DEFAULT_ROOT if root is None else Path(root), root is not None)
    except UsageError as error:
        return str(error)
    return None


def _merged(*changes: Changes) -> dict[str, dict[str, Any]]:
    """Return the changes of all, later ones before earlier ones."""
    merged: dict[str, dict[str, Any]] = {}
    for change in changes:
        for section, fields in change.items():
            merged.setdefault(section, {}).update(fields)
    return merged
