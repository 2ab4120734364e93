"""``hscl reproduce``: shows the cost of the paper's tables and figures, makes their runs and writes them."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Any

import yaml
from jsonargparse import Namespace
from rich.console import Console
from rich.table import Table

from hscl_fast.console import say
from hscl_fast.counted import counted
from hscl_fast.errors import UsageError
from hscl_fast.interrupt import Interrupted
from hscl_fast.reproduce.budgets import BUDGETS
from hscl_fast.reproduce.plan import Plan, Request, SplitName, known_methods, make_plan
from hscl_fast.reproduce.results import output_folder
from hscl_fast.reproduce.scenario import Scenario
from hscl_fast.reproduce.scenarios import SCENARIOS
from hscl_fast.spelling import did_you_mean

_SPLITS: dict[str, tuple[SplitName, ...]] = {
    "elsa": ("elsa",),
    "released": ("released",),
    "both": ("elsa", "released"),
}


def run(options: Namespace, console: Console) -> int:
    """Return 0, 1 if runs failed, or 128 + the number of the signal that stopped it."""
    if options.WHAT == "list":
        _list(console)
        return 0
    scenarios = _scenarios(options.WHAT)
    request = _request(options)
    plans = [make_plan(scenario, request) for scenario in scenarios]
    try:
        return _run(plans, request, options, console)
    except Interrupted as stopped:
        say(console, f"{stopped}; the runs under way are saved. The same command goes on.")
        return stopped.exit_code


def _run(plans: list[Plan], request: Request, options: Namespace, console: Console) -> int:
    from hscl_fast.reproduce.cost import costs_of
    from hscl_fast.reproduce.run import entries_with_state, files_of, run_plans
    from hscl_fast.reproduce.show_cost import show_cost

    if any(run.config.data.root == str(request.made_data.absolute()) for plan in plans for run in plan.runs):
        from hscl_fast.reproduce.smoke_data import make_smoke_data

        make_smoke_data(request.made_data)
    files = files_of(plans)
    with console.status("measuring") as status:
        costs = costs_of(entries_with_state(files), status.update)
    show_cost(costs, plans, console)
    if options.dry_run:
        return 0

    def tell(line: str) -> None:
        say(console, line)

    failed = run_plans(plans, _backend(options), tell)
    for plan in plans:
        say(console, f"{plan.scenario.name}: {output_folder(plan)}/table.md, .csv, .html")
    if failed:
        say(console, f"{len(failed)} of {counted(len(files), 'run')} failed; the same command tries them again:")
        for one in failed:
            say(console, f"  {one.run.title}: {one.log}")
    return 1 if failed else 0


def _backend(options: Namespace) -> Any:
    if options.backend == "ray":
        from hscl_fast.reproduce.ray_backend import run_on_ray

        return partial(run_on_ray, address=options.address, jobs=options.jobs, gpus=options.gpus)
    from hscl_fast.reproduce.local_backend import run_here

    return partial(run_here, jobs=options.jobs, are_short=BUDGETS[options.budget].is_smoke)


def _list(console: Console) -> None:
    table = Table("name", "what", "rows", "data sets")
    for scenario in SCENARIOS.values():
        data = dict.fromkeys(column.data for column in scenario.columns)
        table.add_row(scenario.name, scenario.title, str(len(scenario.rows)), ", ".join(data))
    console.print(table)
    say(console, f"methods: {', '.join(known_methods())}")
    for budget in BUDGETS.values():
        say(console, f"budget {budget.name}: {budget.words}")


def _scenarios(name: str) -> list[Scenario]:
    if name == "all":
        return [*SCENARIOS.values()]
    if name not in SCENARIOS:
        names = ("list", "all", *SCENARIOS)
        meant = did_you_mean(name, names)
        raise UsageError(f"{name!r} is not a table or figure of the paper.{meant} Give one of {', '.join(names)}.")
    return [SCENARIOS[name]]


def _request(options: Namespace) -> Request:
    if options.out is None:
        raise UsageError("`hscl reproduce` needs --out DIR, the folder of runs and results.")
    for name in ("jobs", "seeds", "known"):
        value = getattr(options, name)
        if value is not None and value < 1:
            raise UsageError(f"--{name} is {value}, but must be 1 or more. Give another value.")
    for name in ("address", "gpus"):
        if getattr(options, name) is not None and options.backend != "ray":
            raise UsageError(f"--{name} is for a Ray cluster. Add --backend ray, or leave --{name} out.")
    if options.gpus is not None and not 0 <= options.gpus <= 16:
        raise UsageError(f"--gpus is {options.gpus}, but must be in [0, 16]. Give another value, such as 0.5.")
    root, roots = _roots(options["data.root"] or [])
    return Request(
        out=Path(options.out),
        budget=BUDGETS[options.budget],
        splits=_SPLITS[options.split],
        methods=None if options.methods is None else tuple(options.methods),
        classes=None if options.classes is None else tuple(options.classes),
        seeds=options.seeds,
        known=options.known,
        root=root,
        roots=roots,
        stand_in=_stand_in(options["data.name"]),
        mode=options.mode,
        change=_changes(options["set"] or []),
    )


def _roots(given: list[str]) -> tuple[str | None, dict[str, str]]:
    """Return the folder of all data sets, and those of some by name."""
    from hscl_fast.data.named.registry import DATA_SETS

    root, roots = None, {}
    for text in given:
        name, equals, folder = text.partition("=")
        if equals and name in DATA_SETS:
            roots[name] = folder
        elif root is None:
            root = text
        else:
            raise UsageError(
                f"--data.root has {root!r} and {text!r}, but only one folder can be that of all data sets. Give the "
                f"others as NAME=FOLDER, with a name of {', '.join(DATA_SETS)}."
            )
    return root, roots


def _stand_in(name: str | None) -> str | None:
    from hscl_fast.data.named.registry import DATA_SETS

    if name is not None and name not in DATA_SETS:
        raise UsageError(
            f"--data.name is {name!r}, which is not a named data set.{did_you_mean(name, DATA_SETS)} Give one of "
            f"{', '.join(DATA_SETS)}."
        )
    return name


def _changes(given: list[str]) -> dict[str, dict[str, Any]]:
    """Return the changes of ``--set`` by section and field; the configuration checks names and values."""
    changes: dict[str, dict[str, Any]] = {}
    for text in given:
        flag, equals, value = text.removeprefix("--").partition("=")
        section, dot, name = flag.partition(".")
        if not (equals and dot and section and name):
            raise UsageError(f"--set has {text!r}, but must be SECTION.FIELD=VALUE, such as optim.max_steps=2000.")
        try:
            changes.setdefault(section, {})[name] = yaml.safe_load(value)
        except yaml.YAMLError:
            changes.setdefault(section, {})[name] = value
    return changes
