"""The command ``python -m benchmarks.accuracy``: runs a table of trials, or goes on with it."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from benchmarks.accuracy.page import write_page
from benchmarks.accuracy.plan import PlannedRun, planned_runs
from benchmarks.accuracy.results import merge_into, read_results, record_of
from benchmarks.accuracy.trials import Table, read_table
from hscl_fast.errors import UsageError
from hscl_fast.interrupt import Interrupted
from hscl_fast.many_runs.files import RunFiles
from hscl_fast.many_runs.pool import Pool
from hscl_fast.many_runs.process import RunProcess, start_process
from hscl_fast.many_runs.time_left import TimeLeft

ROOT = Path(__file__).parents[2]

EPILOG = """\
Killed or stopped at any moment, the same command goes on: runs that have finished are not repeated, one that was
interrupted continues from its last checkpoint, and one that failed is tried again. A run is found by its
configuration; delete its folder in --runs to measure it again. After every run the results are merged into --results,
and the page and its plot are written from them.

A table is a YAML file:

  title: The recipe cpu and its variants
  data:                                         # of every trial that names none
    - {name: cifar10, classes: [0, 3, 5], seeds: [0, 1, 2], pollution_ratio: 0.1}
    - {name: fashion_mnist, classes: [0, 2, 6], seeds: [0, 1, 2]}
    - {name: pcb}                               # your own images: say where with --at
  trials:                                       # the first is the reference of paired differences
    - {name: cpu, recipe: cpu}
    - {name: rate 3e-3, recipe: cpu, change: {optim: {learning_rate: 0.003}}}

example:
  python -m benchmarks.accuracy benchmarks/accuracy/tables/cpu.yaml --runs runs/accuracy --jobs 2 --threads 1 \\
      --at cifar10=/data/cifar10 pcb=/data/pcb
"""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; return its exit code: 0, 1 if runs failed, 2 after a usage error, 128 + a signal's number."""
    try:
        return _command(_parser().parse_args(arguments))
    except UsageError as error:
        print(f"accuracy: error: {error}", file=sys.stderr)
        return 2
    except Interrupted as stopped:
        print(f"{stopped}; the runs under way are saved. The same command goes on.", flush=True)
        return stopped.exit_code


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.accuracy",
        description="Run a table of trials, each for all its normal classes and seeds, and write docs/accuracy.md.",
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("table", type=Path, nargs="?", help="the table; without one the page is only written again")
    parser.add_argument("--runs", type=Path, default=Path("runs/accuracy"), help="folder of the runs (%(default)s)")
    parser.add_argument(
        "--at",
        metavar="NAME=PATH",
        nargs="+",
        action="extend",
        default=[],
        help="where something in the table lies: a named data set's folder, your own images, or a weights file",
    )
    parser.add_argument("--jobs", type=int, default=1, help="runs side by side (%(default)s)")
    parser.add_argument("--threads", type=int, default=1, help="CPU threads of each run (%(default)s)")
    parser.add_argument("--trial", nargs="+", action="extend", metavar="NAME", help="run only these trials")
    parser.add_argument("--data", nargs="+", action="extend", metavar="NAME", help="run only on these data")
    parser.add_argument("--classes", nargs="+", type=int, metavar="N", help="run only these normal classes")
    parser.add_argument("--seeds", nargs="+", type=int, metavar="N", help="run only these seeds")
    parser.add_argument("--every", type=float, default=60, help="seconds between lines on progress (%(default)s)")
    parser.add_argument("--list", action="store_true", help="list the runs and how far they are, and run nothing")
    parser.add_argument(
        "--results", type=Path, default=ROOT / "benchmarks/results/accuracy.json", help="results, merged"
    )
    parser.add_argument("--page", type=Path, default=ROOT / "docs/accuracy.md", help="the page to write")
    return parser


def _command(options: argparse.Namespace) -> int:
    if options.table is None:
        write_page(options.page, read_results(options.results))
        return 0
    for name in ("jobs", "threads"):
        if getattr(options, name) < 1:
            raise UsageError(f"--{name} is {getattr(options, name)}, but must be 1 or more. Give another value.")
    table, name = read_table(options.table), options.table.stem
    planned = planned_runs(name, table, _places(options.at), options.threads)
    runs = [run for run in planned if _is_wanted(run, options)]
    if not runs:
        raise UsageError(
            "No run of the table has what --trial, --data, --classes and --seeds ask for. Check their values."
        )
    options.runs.mkdir(parents=True, exist_ok=True)
    files = [RunFiles(run, options.runs.resolve()) for run in runs]
    if options.list:
        _list(files)
        return 0
    return _run(files, planned, name, table, options)


def _run(files: list[RunFiles], planned: list[PlannedRun], name: str, table: Table, options: argparse.Namespace) -> int:
    left = TimeLeft()

    def merge(some: list[RunFiles]) -> None:
        found = [(one.run, one.figures()) for one in some]
        records = [record_of(run, figures) for run, figures in found if figures is not None]
        write_page(options.page, merge_into(options.results, name, table, planned, records))

    def finished(one: RunFiles) -> None:
        merge([same for same in files if same.run.folder == one.run.folder])

    todo: dict[str, RunFiles] = {}
    for one in files:
        figures = one.figures()
        if figures is None:
            todo.setdefault(one.run.folder, one)
        else:
            left.add(one.run, figures["total_seconds"])
    merge(files)
    different = len({one.run.folder for one in files})
    print(f"{different} runs, {different - len(todo)} finished before; logs in {options.runs}/*.log", flush=True)
    failed = Pool(options.jobs, options.every, start=start, finished=finished, say=_print).run([*todo.values()], left)
    if failed:
        print(f"{len(failed)} of {different} runs failed; the same command tries them again:")
        for one in failed:
            print(f"  {one.run.title}: {one.log}")
    return 1 if failed else 0


def start(files: RunFiles) -> RunProcess:
    """Start the process of a run."""
    return start_process(files, "benchmarks.accuracy.one")


def _print(line: str) -> None:
    print(line, flush=True)


def _list(files: list[RunFiles]) -> None:
    for one in files:
        figures, progress = one.figures(), one.progress()
        if figures is not None:
            state = f"AUROC {figures['auroc_mean'] or figures['auroc']}"
        elif progress is not None:
            state = f"interrupted at step {progress[0]}"
        else:
            state = "not begun" if not one.log.exists() else f"failed or not begun to train: {one.log.name}"
        print(f"{one.run.title}: {state}  ({one.run.folder})")


def _places(given: Sequence[str]) -> dict[str, str]:
    places = {}
    for text in given:
        name, equals, path = text.partition("=")
        if not (name and equals and path):
            raise UsageError(f"--at is {text!r}, but must be NAME=PATH, such as cifar10=/data/cifar10.")
        if not Path(path).expanduser().exists():
            raise UsageError(f"--at {text}: there is no {path}. Give the place of {name}.")
        places[name] = str(Path(path).expanduser().resolve())
    return places


def _is_wanted(run: PlannedRun, options: argparse.Namespace) -> bool:
    asked = (
        (options.trial, run.trial),
        (options.data, run.data),
        (options.classes, run.normal_class),
        (options.seeds, run.seed),
    )
    return all(wanted is None or value in wanted for wanted, value in asked)


if __name__ == "__main__":
    sys.exit(main())
