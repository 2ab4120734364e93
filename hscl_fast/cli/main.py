"""The command line: ``hscl train | eval | predict | data | doctor``.

Flags and YAML keys are the fields of the configuration.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

from jsonargparse import ActionConfigFile, ArgumentError, ArgumentParser, Namespace
from rich.console import Console

from hscl_fast import __version__
from hscl_fast.compile_cache import keep_cache
from hscl_fast.config.parsing import add_sections, plain_message, to_dict
from hscl_fast.config.recipes import RECIPES
from hscl_fast.config.sections import (
    NO_PICTURE,
    NOT_PREPARED,
    SECTIONS,
    AugmentConfig,
    CheckpointName,
    DataConfig,
    Scoring,
)
from hscl_fast.errors import FailedElsewhere, UsageError

_USAGE_ERROR = 2
_INTERRUPTED = 130


def main(arguments: Sequence[str] | None = None) -> None:
    """Run ``hscl`` and exit: 0 done, 1 the doctor found a fault, 2 bad input, 130 and 143 stopped by a signal."""
    status = run(sys.argv[1:] if arguments is None else list(arguments))
    if status and "RANK" in os.environ:
        # Unless all went well a rank ends at once, for its process groups may be left standing: a thread of theirs that
        # lets go of a tensor while the interpreter is torn down aborts the process, SIGABRT in place of this status.
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(status)
    sys.exit(status)


def run(arguments: list[str]) -> int:
    """Run one command; return its exit code. Errors a user can mend are printed as one paragraph."""
    console = Console()
    errors = Console(stderr=True)
    try:
        keep_cache()
        options = _parse(arguments)
        from hscl_fast.cli import commands
        from hscl_fast.ranks.group import require_one_process

        if options.command != "train":
            require_one_process(options.command)
        return commands.COMMANDS[options.command](options[options.command], console)
    except UsageError as error:
        errors.print(f"hscl: error: {error}", style="red", markup=False, highlight=False, soft_wrap=True)
        return _USAGE_ERROR
    except FailedElsewhere:
        return _USAGE_ERROR
    except KeyboardInterrupt:
        errors.print("hscl: interrupted")
        return _INTERRUPTED


def _parser() -> tuple[ArgumentParser, dict[str, ArgumentParser]]:
    """The parser, and its sub-parsers by name."""
    parser = ArgumentParser(
        prog="hscl",
        version=__version__,
        exit_on_error=False,
        description="Train, evaluate and use image anomaly detectors from contaminated data.",
    )
    commands = parser.add_subcommands(dest="command")
    parsers = {
        "train": _train_parser(),
        "eval": _eval_parser(),
        "predict": _predict_parser(),
        "doctor": _doctor_parser(),
        "data": ArgumentParser(exit_on_error=False, description="What data there is, and whether it is intact."),
    }
    helps = {
        "train": "train a detector, then evaluate it",
        "eval": "evaluate a trained run again",
        "predict": "score image files with a trained run",
        "doctor": "check what works on this machine, and what training costs on it",
        "data": "list data sets, verify one, prepare one as a .beton, or look at views",
    }
    for name, sub in parsers.items():
        commands.add_subcommand(name, sub, help=helps[name])
    _add_data_actions(parsers["data"])  # after its parent: jsonargparse wants the levels in order
    return parser, parsers


def _train_parser() -> ArgumentParser:
    parser = ArgumentParser(
        exit_on_error=False, description="Train a detector on DATA, evaluate it and write a report."
    )
    _add_configuration(parser)
    parser.add_argument("--out", type=str, help="run directory (unset: runs/NAME-TIME)")
    parser.add_argument("--resume", action="store_true", help="continue the run in --out")
    parser.add_argument("--overwrite", action="store_true", help="replace the run in --out")
    add_sections(parser)
    return parser


def _add_configuration(parser: ArgumentParser) -> None:
    """Where the configuration comes from, beside the flags of :func:`add_sections`."""
    parser.add_argument(
        "DATA", nargs="?", type=str, help="data-set name, folder, .csv, .npz or .beton (same as --data.name)"
    )
    parser.add_argument(
        "--recipe",
        type=str,
        help=f"defaults to start from: {', '.join(RECIPES)} (unset: paper on a GPU, cpu without one)",
    )
    parser.add_argument("--config", action=ActionConfigFile, help="YAML with the fields below, such as RUN/config.yaml")


def _doctor_parser() -> ArgumentParser:
    parser = ArgumentParser(
        exit_on_error=False,
        description="Check that the kernels and the rest of this machine work; exit code 1 if something does not. With "
        "DATA, or any flag of the configuration, also measure what training will cost.",
    )
    _add_configuration(parser)
    parser.add_argument("--device", type=str, help="auto, cpu, cuda or cuda:N (unset: --runtime.device)")
    parser.add_argument("--estimate", action="store_true", help="measure training steps of the default configuration")
    parser.add_argument("--json", action="store_true", help="print one JSON object instead of tables")
    add_sections(parser)
    return parser


def _eval_parser() -> ArgumentParser:
    parser = ArgumentParser(
        exit_on_error=False, description="Evaluate RUN again: rewrites its scores, summary and report."
    )
    parser.add_argument("RUN", type=str, help="run directory")
    parser.add_argument("--scoring", type=Scoring, help="normality score (unset: as trained)")
    parser.add_argument("--checkpoint", type=CheckpointName, help="which weights (unset: as trained)")
    parser.add_argument("--device", type=str, help="auto, cpu, cuda or cuda:N (unset: as trained)")
    parser.add_argument("--root", type=str, help="where the data set lies now (unset: as trained)")
    return parser


def _predict_parser() -> ArgumentParser:
    parser = ArgumentParser(exit_on_error=False, description="Score images; higher anomaly_score = more anomalous.")
    parser.add_argument("RUN", type=str, help="run directory")
    parser.add_argument("PATH", type=str, nargs="+", help="image files, and folders of images")
    parser.add_argument("--out", type=str, required=True, help="CSV to write: path, anomaly_score, decision")
    parser.add_argument("--device", type=str, help="auto, cpu, cuda or cuda:N (unset: as trained)")
    parser.add_argument("--overwrite", action="store_true", help="replace an existing --out")
    return parser


def _add_data_actions(parser: ArgumentParser) -> None:
    commands = parser.add_subcommands(dest="action")
    listing = ArgumentParser(exit_on_error=False, description="List the data sets and where they are looked for.")
    verify = ArgumentParser(exit_on_error=False, description="Read a whole data set and print its counts and checksum.")
    verify.add_argument("DATA", type=str, help="data-set name, folder, .csv, .npz or .beton")
    for sub in (listing, verify):
        sub.add_argument("--root", type=str, help="folder the files lie in")
    commands.add_subcommand("prepare", _prepare_parser(), help="write a data set into one .beton file")
    commands.add_subcommand("views", _views_parser(), help="draw a picture of augmented views")
    commands.add_subcommand("list", listing, help="list the data sets")
    commands.add_subcommand("verify", verify, help="check one data set")


def _prepare_parser() -> ArgumentParser:
    parser = ArgumentParser(
        exit_on_error=False,
        description="Write all images of DATA, resized and with their roles, into one .beton file for hscl train.",
    )
    parser.add_argument("DATA", type=str, help="data-set name, folder, .csv or .npz")
    parser.add_argument("--out", type=str, required=True, help="the .beton to write; its manifest goes beside it")
    parser.add_argument(
        "--encoding",
        type=Literal["auto", "raw", "jpeg"],
        default="auto",
        help="pixels as they are, JPEG, or auto: raw below 64 pixels, else JPEG",
    )
    parser.add_argument("--quality", type=int, default=90, help="of the JPEGs, 1 to 100")
    parser.add_argument("--skip-bad", action="store_true", help="leave out files that are no images")
    parser.add_argument("--overwrite", action="store_true", help="replace an existing --out")
    parser.add_class_arguments(DataConfig, skip=NOT_PREPARED)
    return parser


def _views_parser() -> ArgumentParser:
    parser = ArgumentParser(
        exit_on_error=False,
        description="Draw some training images of DATA beside the views that a training step would see of them.",
    )
    parser.add_argument("DATA", type=str, help="data-set name, folder, .csv, .npz or .beton")
    parser.add_argument("--out", type=str, required=True, help="the picture to write, a PNG")
    parser.add_argument("--images", type=int, default=9, help="how many, up to 64; a third of each role")
    parser.add_argument("--step", type=int, default=0, help="the training step")
    parser.add_argument("--view_seed", type=int, default=0, help="--runtime.seed of the run")
    parser.add_argument("--overwrite", action="store_true", help="replace an existing --out")
    parser.add_class_arguments(DataConfig, skip=NO_PICTURE)
    parser.add_class_arguments(AugmentConfig, "augment")
    return parser


def _parse(arguments: list[str]) -> Namespace:
    parser, parsers = _parser()
    if arguments[:1] in (["train"], ["doctor"]):
        parsers[arguments[0]].set_defaults(_starting_point(arguments))
    try:
        options = parser.parse_args(arguments)
    except ArgumentError as error:
        command = " ".join(["hscl", *arguments[:1]])
        raise UsageError(f"{plain_message(error)} See `{command} --help`.") from error
    if options.command == "doctor" and (options.doctor.DATA is not None or _configures(arguments)):
        options.doctor.estimate = True
    return options


def _configures(arguments: list[str]) -> bool:
    """Whether a flag says what is to be trained."""
    flags = {"--recipe", "--config", *(f"--{section}" for section in SECTIONS)}
    return any(argument.split("=")[0].split(".")[0] in flags for argument in arguments)


def _starting_point(arguments: list[str]) -> dict[str, Any]:
    """The defaults that flags and --config then override: the recipe's, or those of the run to resume."""
    first = argparse.ArgumentParser(add_help=False, allow_abbrev=False, exit_on_error=False)
    first.add_argument("--recipe", nargs="?")
    first.add_argument("--out", nargs="?")
    first.add_argument("--resume", action="store_true")
    try:
        known, _ = first.parse_known_args(arguments[1:])
    except argparse.ArgumentError as error:
        raise UsageError(f"{plain_message(error)} See `hscl {arguments[0]} --help`.") from error
    base: dict[str, dict[str, Any]] = {}
    resume = known.resume and arguments[0] == "train"
    if resume:
        if known.out is None:
            raise UsageError("--resume needs --out RUN, the run directory to continue.")
        from hscl_fast.runs.directory import RunDirectory

        base = to_dict(RunDirectory(Path(known.out)).load_config())
    recipe = known.recipe
    if recipe is None and not resume:
        recipe = _default_recipe(arguments)
    if recipe is not None and recipe not in RECIPES:
        raise UsageError(f"--recipe is {recipe!r}, but must be one of {', '.join(RECIPES)}. Give one of these.")
    for section, values in RECIPES.get(recipe or "", {}).items():
        base.setdefault(section, {}).update(values)
    return {f"{section}.{name}": value for section, values in base.items() for name, value in values.items()}


def _default_recipe(arguments: list[str]) -> str:
    if "--help" in arguments or "-h" in arguments:
        return "paper"
    import torch

    return "paper" if torch.cuda.is_available() else "cpu"
