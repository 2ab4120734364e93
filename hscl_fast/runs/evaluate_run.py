"""Evaluation of a trained run: scores, threshold, figures and report, written into its directory."""

from __future__ import annotations

from dataclasses import asdict, replace
from pathlib import Path

import numpy as np
import torch
from rich.console import Console

from hscl_fast.atomic import write_json, write_text
from hscl_fast.config.parsing import to_dict
from hscl_fast.config.sections import CheckpointName, Config, ScoringName
from hscl_fast.console import silent
from hscl_fast.data.loaders.choose import is_held_in_memory
from hscl_fast.data.open import in_memory, open_split
from hscl_fast.data.places import moved_to
from hscl_fast.data.split.record import read_record
from hscl_fast.data.split.split import Split
from hscl_fast.device import resolve_device
from hscl_fast.errors import UsageError
from hscl_fast.evaluation.evaluate import Evaluation, evaluate
from hscl_fast.evaluation.report.page import ScoredImages, write_report
from hscl_fast.evaluation.scores_csv import scores_csv
from hscl_fast.evaluation.summary import SCORE_DIRECTION, Summary
from hscl_fast.method.scoring.scoring import Scoring
from hscl_fast.runs.backends import prepare_backends
from hscl_fast.runs.calibration import Calibration, save_calibration
from hscl_fast.runs.directory import RunDirectory
from hscl_fast.runs.run import Run
from hscl_fast.runs.show import show_duplicates, show_slow_precision
from hscl_fast.runs.trained import load_scoring
from hscl_fast.training.state import TrainingState


def evaluate_run(
    path: str | Path,
    *,
    scoring: ScoringName | None = None,
    checkpoint: CheckpointName | None = None,
    device: str | None = None,
    root: str | None = None,
    console: Console | None = None,
) -> Run:
    """Evaluate a trained run again, perhaps scored otherwise; its scores, summary and report are rewritten.

    Parameters
    ----------
    path
        The run directory.
    scoring, checkpoint, device
        As ``evaluate.scoring``, ``evaluate.checkpoint`` and ``runtime.device``; None: as trained.
    root
        Where the data lies now, see :func:`hscl_fast.data.places.moved_to`; None: as trained.
    console
        Where progress is shown; None shows nothing.

    Raises
    ------
    UsageError
        It is not a trained run, its data has changed or is not there, or a file cannot be written.
    """
    directory = RunDirectory(Path(path))
    config = directory.load_config()
    evaluate = config.evaluate
    used = replace(evaluate, scoring=scoring or evaluate.scoring, checkpoint=checkpoint or evaluate.checkpoint)
    config = replace(config, evaluate=used)
    if device is not None:
        config = replace(config, runtime=replace(config.runtime, device=device))
    if root is not None:
        config = replace(config, data=moved_to(config.data, read_record(directory.split).kind, root))
    prepare_backends(config.runtime)
    console = silent() if console is None else console
    split = open_split(directory.recorded_data(config))
    where = resolve_device(config.runtime.device)
    show_duplicates(split.duplicates, console, "report.html lists them")
    show_slow_precision(where, config.runtime.precision, console)
    if is_held_in_memory(config.runtime, split, where):
        split = in_memory(split)
    summary = evaluate_trained(directory, config, split, where, console)
    return Run(directory, config, summary)


def evaluate_trained(
    directory: RunDirectory, config: Config, split: Split, device: torch.device, console: Console
) -> Summary:
    """Score the test images of a run and write its results: see :func:`evaluate_run`.

    Writes ``scores.csv``, ``summary.json``, ``report.html`` and the calibration that ``hscl predict`` uses, each in one
    step. No test label touches the threshold or the choice of the checkpoint.
    """
    scoring, state = load_scoring(directory, config, split.training.images.shape[1], device)
    found = evaluate(scoring, split, console, seed=config.data.seed)
    summary = _summarise(directory, config, split, state, found)
    try:
        _write(directory, config, split, scoring, found, summary)
    except OSError as error:
        raise UsageError(
            f"The results of {directory.path} cannot be written: {error.strerror or error}. Free some space, then run "
            f"`hscl eval {directory.path}`."
        ) from error
    return summary


def _summarise(
    directory: RunDirectory, config: Config, split: Split, state: TrainingState, found: Evaluation
) -> Summary:
    rates = [row["views_per_second"] for row in directory.read_metrics() if "views_per_second" in row]
    return Summary(
        data=config.data.name,
        normal_class=split.class_names[split.normal_class],
        checkpoint=config.evaluate.checkpoint,
        step=state.step,
        scoring=config.evaluate.scoring,
        score_direction=SCORE_DIRECTION,
        **vars(found.detection),
        threshold=found.threshold,
        threshold_source=found.threshold_source,
        decisions=found.decisions,
        held_out_auroc_best=state.best_auroc,
        train_seconds=round(state.seconds, 3),
        views_per_second=round(float(np.median(rates)), 1) if rates else None,
        score_images_per_second=found.images_per_second,
        counts=split.counts,
        baselines=found.baselines,
    )


def _write(
    directory: RunDirectory, config: Config, split: Split, scoring: Scoring, found: Evaluation, summary: Summary
) -> None:
    test = split.test
    calibration = Calibration(
        threshold=summary.threshold,
        threshold_source=summary.threshold_source,
        scoring=config.evaluate.scoring,
        checkpoint=config.evaluate.checkpoint,
        step=summary.step,
        image_size=split.training.images.shape[1],
    )
    save_calibration(directory, calibration, scoring.constants)
    classes = [split.class_names[label] for label in test.classes]
    write_text(directory.scores, scores_csv(test.names, found.scores, found.threshold, **{"class": classes}))
    write_json(directory.summary, asdict(summary))
    write_report(
        directory.report,
        summary,
        ScoredImages(test, split.class_names, found.scores),
        config=to_dict(config),
        history=directory.read_metrics(),
        duplicates=split.duplicates,
    )
