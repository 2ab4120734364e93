"""The flags of every command. jsonargparse makes those of the configuration from its dataclasses."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from dataclasses import fields
from pathlib import Path
from typing import Any, Literal

from jsonargparse import ArgumentParser, Namespace

from hscl_fast import __version__
from hscl_fast.cli.config_file import ConfigFile
from hscl_fast.cli.given_paths import at_home, check_paths
from hscl_fast.config.parsing import add_sections
from hscl_fast.config.plain_parser import PlainParser
from hscl_fast.config.recipes import RECIPES, recipe_path
from hscl_fast.config.sections import (
    NO_PICTURE,
    NOT_PREPARED,
    SECTIONS,
    VERIFIED,
    AugmentConfig,
    CheckpointName,
    DataConfig,
)
from hscl_fast.errors import UsageError

_DEVICES = "auto, cpu, cuda or cuda:N"
_CONFIGURED = ("train", "doctor")


def parse(arguments: list[str]) -> tuple[str, Namespace]:
    """Return the command's name, such as ``data list``, and its options.

    Raises
    ------
    UsageError
        An argument is unknown, missing or has a wrong value.
    """
    if arguments in ([], ["data"]):
        arguments = [*arguments, "--help"]
    name, arguments = next(iter(arguments), ""), _config_first(_spelled_out(arguments))
    parser, parsers = _parsers(name)
    if name in _CONFIGURED:
        first = _first_pass(parser, parsers[name], name, arguments)
        at_home(first)
        if name == "train" and first["from"] is not None:
            parsers[name].set_defaults(_defaults_of(first["from"]))
        parsers[name].default_config_files = [_literally(path) for path in _starting_points(name, first)]
    options = parser.parse_args(arguments)
    own = options.data[options.data.action] if name == "data" else options[options.command]
    check_paths(f"data {options.data.action}" if name == "data" else name, own)
    at_home(own)
    if name == "data":
        return f"data {options.data.action}", own
    if name == "doctor":
        own.named = any(action.given for action in parsers[name]._actions if isinstance(action, _DataName))
        own.estimate |= own.named or _configures(arguments)
    return options.command, own


def _config_first(arguments: list[str]) -> list[str]:
    """Return the arguments with every ``--config`` directly after the command, so that all flags override the files."""
    command, rest = arguments[:1], arguments[1:]
    configs: list[str] = []
    others: list[str] = []
    while rest:
        count = 2 if rest[0] == "--config" else 1
        (configs if rest[0].partition("=")[0] == "--config" else others).extend(rest[:count])
        rest = rest[count:]
    return [*command, *configs, *others]


def _spelled_out(arguments: list[str]) -> list[str]:
    """Return the arguments with ``--method.name`` for ``--method``, where a name follows."""
    short, full = "--method", "--method.name"
    return [
        f"{full}{argument.removeprefix(short)}" if argument.partition("=")[0] == short else argument
        for argument in arguments
    ]


class _DataName(argparse.Action):
    """The argument DATA: another way to give ``--data.name``."""

    given = False

    def __call__(
        self,
        parser: argparse.ArgumentParser,
        namespace: argparse.Namespace,
        values: str | Sequence[Any] | None,
        option_string: str | None = None,
    ) -> None:
        if values is not None:
            namespace["data.name"] = values
            self.given = True


def _first_pass(parser: ArgumentParser, own: ArgumentParser, name: str, arguments: list[str]) -> Namespace:
    """Find wrong flags, and the recipe or run whose values are the defaults of the second pass."""
    quiet = [argument for argument in arguments if not argument.startswith("--print_config")]
    if name == "doctor":
        return parser.parse_args(quiet)[name]
    own.set_defaults({"data.name": ""})  # to see whether anything names the data
    options = parser.parse_args(quiet)[name]
    own.set_defaults({"data.name": DataConfig.name})
    earlier = options["from"]
    if options.resume and earlier is not None:
        raise UsageError(
            f"--resume continues the run in --out, and --from {earlier} begins another one. Leave one of the two out."
        )
    if not options.data.name and not options.resume and earlier is None and len(quiet) == len(arguments):
        raise UsageError(
            "`hscl train` needs DATA: a data set of `hscl data list`, or the path of your own images. `hscl train "
            "digits` is a first try. See `hscl train --help`."
        )
    return options


def _starting_points(name: str, options: Namespace) -> list[Path]:
    """Return the YAML files that ``--config`` and flags override: the recipe's, or that of the run to resume."""
    files = []
    resume = name == "train" and options.resume
    if resume:
        if options.out is None:
            raise UsageError("--resume needs --out RUN, the run directory to continue.")
        from hscl_fast.runs.directory import RunDirectory

        directory = RunDirectory(Path(options.out))
        directory.load_config()  # for its errors, which say what is wrong with the file
        files.append(directory.config)
    begun = name == "train" and options["from"] is not None
    if options.recipe is not None or not (resume or begun):
        files.append(recipe_path(options.recipe or _default_recipe()))
    return files


def _defaults_of(earlier: str) -> dict[str, Any]:
    """Return the configuration of the run to go on from, by flag, as what recipes, files and flags override."""
    from hscl_fast.config.parsing import to_dict
    from hscl_fast.runs.warm_start import without_beginning

    plain = to_dict(without_beginning(earlier))
    return {f"{section}.{name}": value for section, values in plain.items() for name, value in values.items()}


def _default_recipe() -> str:
    import torch

    return "paper" if torch.cuda.is_available() else "cpu"


def _literally(path: Path) -> str:
    """Return the path with its special characters escaped, because jsonargparse reads these paths as glob patterns."""
    return "".join(f"[{letter}]" if letter in "*?[" else letter for letter in str(path.absolute()))


def _configures(arguments: list[str]) -> bool:
    """Return whether a flag sets a field of the configuration."""
    flags = {"--recipe", "--config", *(f"--{section}" for section in SECTIONS)}
    return any(argument.split("=")[0].split(".")[0] in flags for argument in arguments)


def _parsers(command: str) -> tuple[ArgumentParser, dict[str, ArgumentParser]]:
    """Return the parser, and its sub-parsers by name; only that of the command has its flags, which take long."""
    parser = PlainParser(
        prog="hscl",
        version=__version__,
        description="Train, evaluate and use image anomaly detectors from contaminated data.",
    )
    commands = parser.add_subcommands(dest="command")
    makers = {
        "train": (_train_parser, "train a detector, then evaluate it"),
        "eval": (_eval_parser, "evaluate a trained run again"),
        "predict": (_predict_parser, "score image files with a trained run"),
        "watch": (_watch_parser, "score the images that arrive in a folder"),
        "suspects": (_suspects_parser, "list the unlabelled training images that are likely anomalies"),
        "threshold": (_threshold_parser, "show or change the decision threshold of a run"),
        "review": (_review_parser, "write a page on which to label the suspects of a run"),
        "compare": (_compare_parser, "put runs side by side"),
        "export": (_export_parser, "write a trained run as one ONNX or torch.export file"),
        "reproduce": (_reproduce_parser, "make the runs behind the paper's tables and figures"),
        "doctor": (_doctor_parser, "check this machine, and estimate the cost of training"),
        "data": (_data_parser, "list, verify or prepare data sets, or draw their views"),
    }
    parsers = {name: make() if name == command else PlainParser() for name, (make, _) in makers.items()}
    for name, (_, text) in makers.items():
        commands.add_subcommand(name, parsers[name], help=text)
    if command == "data":
        _add_data_actions(parsers["data"])  # after its parent: jsonargparse wants the levels in order
    return parser, parsers


def _train_parser() -> ArgumentParser:
    parser = PlainParser(description="Train a detector on DATA, evaluate it and write a report.")
    _add_configuration(parser)
    parser.add_argument("--out", type=str, help="run directory (unset: runs/NAME-TIME)")
    parser.add_argument("--resume", action="store_true", help="continue the run in --out")
    parser.add_argument(
        "--from",
        type=str,
        help="run to go on from: its configuration, split, labels and weights, with what the other flags change",
    )
    parser.add_argument("--overwrite", action="store_true", help="replace the run in --out")
    add_sections(parser)
    return parser


def _add_configuration(parser: ArgumentParser) -> None:
    """Add the arguments that say where the configuration comes from, beside the flags of ``add_sections``."""
    parser.add_argument(
        "DATA",
        nargs="?",
        action=_DataName,
        default=argparse.SUPPRESS,
        help="data-set name, folder, .csv, .npz or .beton (same as --data.name)",
    )
    parser.add_argument(
        "--recipe",
        type=str,
        help=f"defaults to start from: {', '.join(RECIPES)} (unset: paper with a GPU, cpu without one)",
    )
    parser.add_argument("--config", action=ConfigFile, help="YAML with the fields below, such as RUN/config.yaml")


def _doctor_parser() -> ArgumentParser:
    parser = PlainParser(
        description="Check that the kernels and all that training needs work on this machine; the exit code is 1 if "
        "something does not. With DATA, or any flag of the configuration, also estimate the cost of training.",
    )
    _add_configuration(parser)
    parser.add_argument("--device", type=str, help=f"{_DEVICES} (unset: --runtime.device)")
    parser.add_argument("--estimate", action="store_true", help="measure training steps of the default configuration")
    parser.add_argument("--json", action="store_true", help="print one JSON object instead of tables")
    add_sections(parser)
    return parser


def _eval_parser() -> ArgumentParser:
    parser = PlainParser(description="Evaluate RUN again, perhaps scored otherwise, or on other images.")
    parser.add_argument("RUN", type=str, help="run directory")
    parser.add_argument("--data", type=str, help="other test images: folder, .csv, .npz or .beton (unset: as trained)")
    parser.add_argument("--out", type=str, help="with --data: new folder for the results")
    parser.add_argument("--scoring", type=str, help="auto, or scores joined by + (unset: as trained)")
    parser.add_argument("--checkpoint", type=CheckpointName, help="checkpoint to evaluate (unset: as trained)")
    parser.add_argument("--device", type=str, help=f"{_DEVICES} (unset: as trained)")
    parser.add_argument("--root", type=str, help="folder of the data set, if it has moved (unset: as trained)")
    parser.add_argument(
        "--name",
        type=str,
        help="of the evaluation in RUN/evaluations (unset: the run's own, or SCORING-CHECKPOINT); with --data, whose "
        "score and threshold to use",
    )
    _add_threshold(parser)
    parser.add_argument("--overwrite", action="store_true", help="replace results that are there and up to date")
    return parser


def _compare_parser() -> ArgumentParser:
    parser = PlainParser(description="Put two runs or more side by side: figures, curves and options that differ.")
    parser.add_argument("RUN", type=str, nargs="+", help="run directories, or evaluations RUN/evaluations/NAME")
    parser.add_argument("--out", type=str, help="HTML page to write as well (unset: none)")
    parser.add_argument("--overwrite", action="store_true", help="replace an existing --out")
    return parser


def _threshold_parser() -> ArgumentParser:
    parser = PlainParser(
        description="Show the decision threshold of RUN or, with an option, change it and all decisions without "
        "scoring again.",
    )
    parser.add_argument("RUN", type=str, help="run directory")
    _add_threshold(parser)
    parser.add_argument("--best", action="store_true", help="best balanced accuracy on the held-out labelled images")
    parser.add_argument("--evaluation", type=str, help="of the evaluation with this name (unset: the run's own)")
    parser.add_argument("--root", type=str, help="folder of the data set, if it has moved (unset: as trained)")
    return parser


def _add_threshold(parser: ArgumentParser) -> None:
    """Add the options that say how the threshold comes about."""
    parser.add_argument("--threshold", type=float, help="the anomaly score above which an image is abnormal")
    parser.add_argument(
        "--max_false_alarms", "--max-false-alarms", type=float, help="share of normals that may be called abnormal"
    )
    parser.add_argument(
        "--contamination", type=float, help="with --max_false_alarms: suspected share of anomalies among the unlabelled"
    )


def _predict_parser() -> ArgumentParser:
    parser = PlainParser(description="Score images; higher anomaly_score = more anomalous.")
    parser.add_argument("RUN", type=str, help="run directory")
    parser.add_argument(
        "PATH",
        type=str,
        nargs="+",
        help="image files, folders, patterns in quotes, @list.txt with one path per line, .csv, .npz or .beton",
    )
    parser.add_argument("--out", type=str, help="table to write: x.csv, x.json, or - for the standard output")
    parser.add_argument("--format", type=Literal["csv", "json"], help="of --out (unset: json for x.json, else csv)")
    parser.add_argument("--sort", action="store_true", help="most anomalous first (unset: in the order given)")
    parser.add_argument("--report", type=str, help="page to write, x.html: the images, most anomalous first")
    parser.add_argument(
        "--save_images", "--save-images", type=str, help="new or empty folder for copies of the images, with heat maps"
    )
    parser.add_argument("--top", type=int, help="only so many images, the most anomalous, sorted (unset: all)")
    _add_scorer(parser)
    parser.add_argument("--root", type=str, help="folder that the paths of a .csv are relative to (unset: its own)")
    parser.add_argument("--overwrite", action="store_true", help="replace existing files")
    return parser


def _watch_parser() -> ArgumentParser:
    parser = PlainParser(description="Score the images of FOLDER, those that are there and those that arrive.")
    parser.add_argument("RUN", type=str, help="run directory")
    parser.add_argument("FOLDER", type=str, help="folder in which images arrive")
    parser.add_argument("--out", type=str, required=True, help="CSV to make or to continue")
    _add_scorer(parser)
    return parser


def _add_scorer(parser: ArgumentParser) -> None:
    """Add the options on how a run scores new images, and which it finds in folders."""
    parser.add_argument("--device", type=str, help=f"{_DEVICES} (unset: as trained)")
    _add_search(parser)
    parser.add_argument("--evaluation", type=str, help="whose score and threshold to use (unset: the run's own)")
    parser.add_argument("--max_megapixels", type=int, help="refuse files with more million pixels (unset: as trained)")


def _suspects_parser() -> ArgumentParser:
    parser = PlainParser(
        description="List the unlabelled training images of RUN that are likeliest hidden anomalies, and draw them in "
        "RUN/suspects.html. RUN/suspects.csv has them all.",
    )
    parser.add_argument("RUN", type=str, help="run directory")
    parser.add_argument("--top", type=int, default=50, help="number of images to list and draw, up to 1,000")
    parser.add_argument("--root", type=str, help="folder of the data set, if it has moved (unset: as trained)")
    return parser


def _review_parser() -> ArgumentParser:
    parser = PlainParser(
        description="Write a page, one HTML file for any browser, on which you label unlabelled training images of RUN "
        "and download labels.csv for `hscl train --from RUN --data.labels labels.csv`.",
    )
    parser.add_argument("RUN", type=str, help="run directory")
    parser.add_argument("--out", type=str, help="HTML file to write (unset: RUN/review.html)")
    parser.add_argument("--top", type=int, default=200, help="most images on the page, up to 5000")
    parser.add_argument(
        "--order",
        type=Literal["suspicious", "uncertain", "mixed"],
        default="mixed",
        help="which images come first: likely hidden anomalies, those near to the threshold, or both in turns",
    )
    parser.add_argument("--side", type=int, default=512, help="pixels per side to which larger images are shrunk")
    parser.add_argument("--root", type=str, help="folder of the data set, if it has moved (unset: as trained)")
    parser.add_argument("--overwrite", action="store_true", help="replace an existing page")
    return parser


def _export_parser() -> ArgumentParser:
    parser = PlainParser(
        description="Write RUN as one file that scores images without hscl-fast, and compare the two on 100 images."
    )
    parser.add_argument("RUN", type=str, help="run directory")
    parser.add_argument("--out", type=str, required=True, help="file to write: .onnx, or .pt2 of torch.export")
    parser.add_argument(
        "--images", type=str, nargs="+", help="files or folders of images to compare on (unset: those of the run)"
    )
    parser.add_argument("--evaluation", type=str, help="whose score and threshold to use (unset: the run's own)")
    parser.add_argument("--root", type=str, help="folder of the data set, if it has moved (unset: as trained)")
    parser.add_argument("--overwrite", action="store_true", help="replace an existing --out")
    return parser


def _reproduce_parser() -> ArgumentParser:
    parser = PlainParser(
        description="Make the runs behind a table or a figure of the paper, and write it with the paper's figures "
        "beside ours. Stopped at any moment, the same command goes on; finished runs are not repeated.",
    )
    parser.add_argument(
        "WHAT", type=str, help="list, table1 to table5, figure3, figure4-left, figure4-right, or all of them"
    )
    parser.add_argument("--out", type=str, help="folder of runs and results, which tables share")
    parser.add_argument(
        "--budget",
        type=Literal["full", "short", "cpu", "smoke"],
        default="full",
        help="full: as in the paper; short: a part of it, 1,000 steps a run; cpu: 100 small steps; smoke: whether it "
        "all runs",
    )
    parser.add_argument("--split", type=Literal["elsa", "released", "both"], default="elsa", help="split protocol")
    parser.add_argument("--methods", type=str, nargs="+", help="rows, as `hscl reproduce list` names them")
    parser.add_argument("--classes", type=int, nargs="+", help="normal classes (unset: those of the budget)")
    parser.add_argument("--known", type=int, help="most known anomaly classes per normal class (elsa)")
    parser.add_argument("--seeds", type=int, default=1, help="number of seeds, from 0 on")
    parser.add_argument("--mode", type=Literal["shared", "original"], default="shared", help="of the comparators")
    parser.add_argument(
        "--data.root", type=str, nargs="+", help="folder of the data sets; NAME=FOLDER is that of one of them"
    )
    parser.add_argument("--data.name", type=str, help="data set in place of the paper's")
    parser.add_argument("--set", type=str, nargs="+", help="SECTION.FIELD=VALUE: changes in every run")
    parser.add_argument("--dry_run", "--dry-run", action="store_true", help="show the cost, and run nothing")
    parser.add_argument("--jobs", type=int, default=1, help="runs side by side")
    parser.add_argument("--backend", type=Literal["local", "ray"], default="local", help="where the runs are made")
    parser.add_argument("--address", type=str, help="of a Ray cluster (unset: one that is started here)")
    parser.add_argument("--gpus", type=float, help="with --backend ray: GPUs a run takes, such as 0.5 (unset: 1 or 0)")
    return parser


def _add_search(parser: ArgumentParser) -> None:
    """Add the options on the files of a folder that are fields of the configuration elsewhere."""
    parser.add_argument(
        "--exclude", type=tuple[str, ...] | str, default=(), help="pattern of files and folders to leave out, or a list"
    )
    parser.add_argument("--follow_links", type=bool, default=False, help="follow links that lead out of a folder")


def _data_parser() -> ArgumentParser:
    return PlainParser(description="List, verify or prepare data sets, or draw their views.")


def _add_data_actions(parser: ArgumentParser) -> None:
    commands = parser.add_subcommands(dest="action")
    listing = PlainParser(description="List the data sets and the places searched for them.")
    verify = PlainParser(description="Read a whole data set and print its counts and checksum.")
    verify.add_argument("DATA", type=str, help="data-set name, folder, .csv, .npz or .beton")
    verify.add_class_arguments(DataConfig, skip={field.name for field in fields(DataConfig)} - VERIFIED)
    for sub in (listing, verify):
        sub.add_argument("--root", type=str, help="folder that holds the files")
    _add_search(verify)
    commands.add_subcommand("prepare", _prepare_parser(), help="write a data set into one .beton file")
    commands.add_subcommand("views", _views_parser(), help="draw a picture of augmented views")
    commands.add_subcommand("list", listing, help="list the data sets")
    commands.add_subcommand("verify", verify, help="check one data set")


def _prepare_parser() -> ArgumentParser:
    parser = PlainParser(
        description="Write all images of DATA, resized and with their roles, into one .beton file for hscl train.",
    )
    parser.add_argument("DATA", type=str, help="data-set name, folder, .csv or .npz")
    parser.add_argument("--out", type=str, required=True, help="the .beton to write; its sidecar is written beside it")
    parser.add_argument(
        "--encoding",
        type=Literal["auto", "raw", "jpeg"],
        default="auto",
        help="raw pixels, JPEG, or auto: raw below 64 pixels, else JPEG",
    )
    parser.add_argument("--quality", type=int, default=90, help="JPEG quality, 1 to 100")
    parser.add_argument(
        "--skip_bad", "--skip-bad", action="store_true", help="leave out files that cannot be read as images"
    )
    parser.add_argument("--overwrite", action="store_true", help="replace an existing --out")
    parser.add_class_arguments(DataConfig, skip=NOT_PREPARED)
    return parser


def _views_parser() -> ArgumentParser:
    parser = PlainParser(
        description="Draw some training images of DATA beside the views of them that a training step would use.",
    )
    parser.add_argument("DATA", type=str, help="data-set name, folder, .csv, .npz or .beton")
    parser.add_argument("--out", type=str, required=True, help="the PNG file to write")
    parser.add_argument("--images", type=int, default=9, help="number of images, up to 64; a third of each role")
    parser.add_argument("--step", type=int, default=0, help="number of the training step")
    parser.add_argument("--view_seed", type=int, default=0, help="seed of the views, --runtime.seed of a run")
    parser.add_argument("--overwrite", action="store_true", help="replace an existing --out")
    parser.add_class_arguments(DataConfig, skip=NO_PICTURE)
    parser.add_class_arguments(AugmentConfig, "augment")
    return parser
