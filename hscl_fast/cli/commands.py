"""What each command of the command line does, once its flags are read."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

from jsonargparse import Namespace
from rich.console import Console
from rich.table import Table

from hscl_fast.cli.data import data_command
from hscl_fast.config.parsing import from_namespace, to_dict
from hscl_fast.config.sections import Config, DataConfig
from hscl_fast.console import say, warn
from hscl_fast.data.loaders.choose import choose_loader, is_held_in_memory
from hscl_fast.data.open import in_memory, open_split
from hscl_fast.data.split.split import Split
from hscl_fast.device import resolve_device
from hscl_fast.doctor import doctor_command
from hscl_fast.errors import UsageError
from hscl_fast.interrupt import Interrupted
from hscl_fast.ranks.group import Ranks, start_ranks
from hscl_fast.runs.backends import prepare_backends
from hscl_fast.runs.directory import RunDirectory
from hscl_fast.runs.evaluate_run import evaluate_run
from hscl_fast.runs.predict_files import predict
from hscl_fast.training.trainer import Trainer


def train_command(options: Namespace, console: Console) -> int:
    """``hscl train``: split, train or resume, evaluate."""
    config = from_namespace(options)
    if options.DATA is not None:
        config = replace(config, data=replace(config.data, name=options.DATA))
    run = RunDirectory(Path(options.out or _fresh_name(config)))
    with start_ranks(config) as ranks:
        if not ranks.is_first:
            console = Console(quiet=True, force_terminal=False)
        trainer, split = _prepare_training(config, run, options, ranks, console)
        say(console, f"run {run.path}: {trainer.describe()}")
        try:
            trainer.train()
        except Interrupted as stopped:
            say(
                console,
                f"{stopped} at step {trainer.state.step} of {trainer.total_steps}; all is saved. Continue with:",
            )
            say(console, f"  hscl train --out {run.path} --resume")
            return stopped.exit_code
    if ranks.is_first:
        _print_summary(run, evaluate_run(run, config, split, console), console)
    return 0


def _prepare_training(
    config: Config, run: RunDirectory, options: Namespace, ranks: Ranks, console: Console
) -> tuple[Trainer, Split]:
    """Return the trainer of a new run or of one to resume, and the split; the first rank makes the run directory."""
    prepare_backends(config.runtime)
    with ranks.together():
        if options.resume:
            _require_same(config, run)
        elif ranks.is_first:
            run.require_free(overwrite=options.overwrite)
        split = open_split(_recorded_data(config, run) if options.resume else config.data)
        device = resolve_device(config.runtime.device, ranks.local_rank)
        loader = choose_loader(config.data, config.runtime, split, device)
        if loader.kind == "resident":
            split = in_memory(split)
    _print_counts(split, config, console)
    say(console, f"loader {loader.kind}: {loader.reason}")
    trainer = Trainer(config, run, split.training, split.held_out, console, loader.kind, ranks)
    with ranks.together():
        if options.resume:
            trainer.resume()
        elif ranks.is_first:
            run.create(config, split.record, overwrite=options.overwrite)
    ranks.require_same_step(trainer.state.step)
    return trainer, split


def eval_command(options: Namespace, console: Console) -> int:
    """``hscl eval``: evaluate a trained run again, perhaps scored otherwise."""
    run = RunDirectory(Path(options.RUN))
    config = run.load_config()
    changes = {name: options[name] for name in ("scoring", "checkpoint", "device") if options[name] is not None}
    config = replace(config, runtime=replace(config.runtime, **changes))
    if options.root is not None:
        config = replace(config, data=replace(config.data, root=options.root))
    prepare_backends(config.runtime)
    split = open_split(_recorded_data(config, run))
    if is_held_in_memory(config.runtime, split, resolve_device(config.runtime.device)):
        split = in_memory(split)
    _print_summary(run, evaluate_run(run, config, split, console), console)
    return 0


def predict_command(options: Namespace, console: Console) -> int:
    """``hscl predict``: score image files with a trained run."""
    run = RunDirectory(Path(options.RUN))
    config = run.load_config()
    if options.device is not None:
        config = replace(config, runtime=replace(config.runtime, device=options.device))
    prepare_backends(config.runtime)
    paths = [Path(path) for path in options.PATH]
    done = predict(run, config, paths, Path(options.out), console, overwrite=options.overwrite)
    say(
        console,
        f"{done.images} images scored in {done.seconds:.1f} s, {done.abnormal} of them abnormal: "
        f"{options.out} (higher anomaly_score = more anomalous, above 0 = abnormal)",
    )
    return 0


COMMANDS: dict[str, Callable[[Namespace, Console], int]] = {
    "train": train_command,
    "eval": eval_command,
    "predict": predict_command,
    "data": data_command,
    "doctor": doctor_command,
}


def _fresh_name(config: Config) -> str:
    return f"runs/{Path(config.data.name).stem}-{time.strftime('%Y%m%d-%H%M%S')}"


def _recorded_data(config: Config, run: RunDirectory) -> DataConfig:
    """The data section with the run's own manifest, so that the split is the recorded one, image by image."""
    return replace(config.data, split_record=str(run.split))


def _require_same(config: Config, run: RunDirectory) -> None:
    saved, asked = to_dict(run.load_config()), to_dict(config)
    differences = [
        f"--{section}.{name} is {asked[section][name]!r} and was {value!r}"
        for section, values in saved.items()
        for name, value in values.items()
        if asked[section][name] != value
    ]
    if differences:
        raise UsageError(
            f"--resume continues {run.path} with the configuration it was started with, but {'; '.join(differences)}. "
            f"Leave these flags out (`hscl train --out {run.path} --resume`), or start another run in another --out."
        )


def _print_counts(split: Split, config: Config, console: Console) -> None:
    counts = split.counts
    table = Table("images", "labelled normal", "unlabelled", "labelled abnormal", title=_split_title(split, config))
    training = ("labelled_normal", "unlabelled", "labelled_abnormal")
    table.add_row("training", *(f"{counts[name]:,}" for name in training))
    table.add_row("held out", f"{counts['held_out_normal']:,}", "", f"{counts['held_out_abnormal']:,}")
    table.add_row("test (normal, abnormal)", f"{counts['test_normal']:,}", "", f"{counts['test_abnormal']:,}")
    console.print(table)
    if counts["pollution"] is not None:
        say(
            console,
            f"{counts['pollution']:,} of the unlabelled images are hidden anomalies (training is not told which)",
        )
    for warning in _warnings(counts):
        warn(console, warning)


def _warnings(counts: dict[str, int | None]) -> list[str]:
    warnings = []
    if not counts["labelled_normal"]:
        warnings.append("no labelled normal images in training: normality is learned from the unlabelled ones alone")
    if not counts["labelled_abnormal"]:
        warnings.append("no labelled anomalies in training: the normal-to-abnormal term is always 0")
    if not counts["unlabelled"]:
        warnings.append("no unlabelled images in training")
    if not (counts["held_out_normal"] and counts["held_out_abnormal"]):
        warnings.append(
            "not both kinds of labelled images are held out: no best checkpoint, and a rougher decision threshold"
        )
    if not (counts["test_normal"] and counts["test_abnormal"]):
        warnings.append("the test set lacks normal or abnormal images: no AUROC can be computed")
    return warnings


def _split_title(split: Split, config: Config) -> str:
    height, width = split.training.images.shape[1:3]
    return f"{config.data.name}, normal: {split.class_names[split.normal_class]}, {width}x{height} px"


def _print_summary(run: RunDirectory, summary: dict[str, Any], console: Console) -> None:
    table = Table("detector", "AUROC", "AUROC, mean over anomaly classes", "seconds")
    ours = {
        "auroc": summary["auroc"],
        "auroc_mean": summary["auroc_mean"],
        "seconds": summary["train_seconds"],
    }
    for name, row in {"hscl-fast": ours, **summary["baselines"]}.items():
        table.add_row(name, _percent(row["auroc"]), _percent(row["auroc_mean"]), _seconds(row["seconds"]))
    console.print(table)
    for note in {row["note"] for row in summary["baselines"].values() if row["auroc"] is None}:
        say(console, f"scikit-learn's detectors. {note}")
    say(
        console,
        f"AUROC {_percent(summary['auroc'])} on {summary['counts']['test_normal']:,} normal and "
        f"{summary['counts']['test_abnormal']:,} abnormal test images (scores: higher = more normal)"
        f"{_rate(summary['score_images_per_second'])}",
    )
    say(console, f"report: {run.report}")
    say(console, f"next:   hscl predict {run.path} IMAGES... --out scores.csv")


def _rate(images_per_second: float | None) -> str:
    return "" if images_per_second is None else f", scored at {images_per_second:,.0f} images/s"


def _percent(value: float | None) -> str:
    return "-" if value is None else f"{100 * value:.1f} %"


def _seconds(value: float | None) -> str:
    return "-" if value is None else f"{value:.1f}"
