"""Evaluates a trained run and writes scores, threshold, figures and report into its directory."""

from __future__ import annotations

import json
import shlex
from dataclasses import asdict, replace
from pathlib import Path

import numpy as np
import torch
from rich.console import Console

from hscl_fast.atomic import json_bytes, replacing, sync
from hscl_fast.config.parsing import to_dict
from hscl_fast.config.sections import CheckpointName, Config, ScoringName
from hscl_fast.console import silent
from hscl_fast.data.loaders.choose import is_held_in_memory
from hscl_fast.data.open import in_memory, open_split
from hscl_fast.data.paths import at_home
from hscl_fast.data.places import moved_to
from hscl_fast.data.split.record import read_record
from hscl_fast.data.split.split import Split
from hscl_fast.device import resolve_device
from hscl_fast.errors import UsageError
from hscl_fast.evaluation.evaluate import Evaluation, evaluate
from hscl_fast.evaluation.report.page import ScoredImages, render_report
from hscl_fast.evaluation.scores_csv import scores_csv
from hscl_fast.evaluation.summary import SCORE_DIRECTION, Summary
from hscl_fast.method.scoring.scoring import Scoring
from hscl_fast.runs.backends import prepare_backends
from hscl_fast.runs.calibration import Calibration, load_calibration, save_calibration
from hscl_fast.runs.checkpoint import load_checkpoint
from hscl_fast.runs.directory import Results, RunDirectory
from hscl_fast.runs.lock import RunLock
from hscl_fast.runs.run import Run
from hscl_fast.runs.show import show_duplicates, show_remarks, show_slow_precision
from hscl_fast.runs.trained import load_scoring
from hscl_fast.training.state import TrainingState

_SHARED = {"threshold", "threshold_source", "scoring", "checkpoint", "step"}  # values of summary and calibration


def evaluate_run(
    path: str | Path,
    *,
    name: str | None = None,
    scoring: ScoringName | None = None,
    checkpoint: CheckpointName | None = None,
    device: str | None = None,
    root: str | None = None,
    overwrite: bool = False,
    console: Console | None = None,
) -> Run:
    """Evaluate a trained run again.

    As it was trained, and without a name, the results replace the run's own where these are missing, damaged or older
    than the weights. Scored otherwise they go to ``RUN/evaluations/NAME``, so that what ``hscl predict`` says without
    ``--evaluation`` stays as it is.

    Parameters
    ----------
    path
        The run directory.
    name
        Of the evaluation. None: the run's own, or ``SCORING-CHECKPOINT`` where one of these is not the run's.
    scoring, checkpoint, device
        As ``evaluate.scoring``, ``evaluate.checkpoint`` and ``runtime.device``; None: as trained.
    root
        Folder of the data, if it has moved: see :func:`hscl_fast.data.places.moved_to`; None: as trained.
    overwrite
        Replace results that are there and up to date.
    console
        Console for progress; None shows nothing.

    Raises
    ------
    UsageError
        It is not a trained run, its data has changed or is not there, the results are there already, or a file cannot
        be written.
    """
    directory = RunDirectory(at_home(path))
    trained = directory.load_config()
    used = replace(
        trained.evaluate,
        scoring=scoring or trained.evaluate.scoring,
        checkpoint=checkpoint or trained.evaluate.checkpoint,
    )
    config = replace(trained, evaluate=used)
    if device is not None:
        config = replace(config, runtime=replace(config.runtime, device=device))
    if root is not None:
        config = replace(config, data=moved_to(config.data, read_record(directory.split).kind, root))
    if name is None and used != trained.evaluate:
        name = f"{used.scoring}-{used.checkpoint}"
    results = directory if name is None else directory.evaluation(name)
    console = silent() if console is None else console
    with RunLock(directory.path) as lock:
        lock.acquire()
        if not overwrite:
            _require_stale(directory, config, results)
        prepare_backends(config.runtime)
        split = open_split(directory.recorded_data(config))
        split = replace(split, remarks=(*split.remarks, *directory.remarks))
        where = resolve_device(config.runtime.device)
        show_remarks(split.remarks, console)
        show_duplicates(split.duplicates, console, "report.html lists them")
        show_slow_precision(where, config.runtime.precision, console)
        if is_held_in_memory(config.runtime, split, where):
            split = in_memory(split)
        summary = evaluate_trained(results, directory, config, split, where, console)
    return Run(directory, config, summary, results)


def _require_stale(directory: RunDirectory, config: Config, results: Results) -> None:
    """Refuse to replace results that are whole and of the weights as they are."""
    if not results.summary.exists():
        return
    try:
        calibration, _ = load_calibration(results, "hscl eval")
        weights = load_checkpoint(directory.checkpoint(config.evaluate.checkpoint))
    except UsageError:
        return  # damaged, which another evaluation fixes, or about to be reported
    if not _are_whole(results, calibration):
        return  # an evaluation that was stopped while it wrote them
    if calibration.step == weights.info.get("step"):
        raise UsageError(
            f"{results.summary} already exists and is up to date. Replace it with --overwrite, or give another --name."
        )


def _are_whole(results: Results, calibration: Calibration) -> bool:
    """Whether all results are there and the summary, which is written last, has the values of the calibration."""
    try:
        summary = json.loads(results.summary.read_text(encoding="utf-8"))
        same = {name: summary[name] for name in _SHARED} == calibration.model_dump(include=_SHARED)
    except (OSError, ValueError, TypeError, KeyError):
        return False
    return same and results.scores.is_file() and results.report.is_file()


def evaluate_trained(
    results: Results, directory: RunDirectory, config: Config, split: Split, device: torch.device, console: Console
) -> Summary:
    """Score the test images of a run and write the results: see :func:`evaluate_run`.

    Writes ``scores.csv``, ``summary.json``, ``report.html`` and the calibration that ``hscl predict`` uses. All of them
    are on the disk before the first takes the place of an old one.

    Test labels affect neither the threshold nor the choice of the checkpoint.
    """
    scoring, state = load_scoring(directory, config, split.training.images.shape[1], device)
    found = evaluate(scoring, split, console, seed=config.data.seed)
    summary = _summarise(directory, config, split, state, found)
    again = "evaluate again"
    if results == directory:
        again = f"run `hscl eval {shlex.quote(str(directory.path))}`"
    try:
        results.path.mkdir(parents=True, exist_ok=True)
        _write(results, directory, config, split, scoring, found, summary)
    except OSError as error:
        raise UsageError(
            f"The results in {results.path} cannot be written: {error.strerror or error}. Free some space or make the "
            f"folder writable, then {again}."
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
    results: Results,
    directory: RunDirectory,
    config: Config,
    split: Split,
    scoring: Scoring,
    found: Evaluation,
    summary: Summary,
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
    classes = [split.class_names[label] for label in test.classes]
    table = scores_csv(test.names, found.scores, found.threshold, **{"class": classes})
    page = render_report(
        summary,
        ScoredImages(test, split.class_names, found.scores),
        config=to_dict(config),
        history=directory.read_metrics(),
        remarks=split.remarks,
        duplicates=split.duplicates,
    )
    # The last to be opened takes its place first: the summary, by which whole results are known, is the last.
    with (
        replacing(results.summary) as summary_file,
        replacing(results.report) as page_file,
        replacing(results.scores) as table_file,
    ):
        contents = {table_file: table.encode(), page_file: page, summary_file: json_bytes(asdict(summary))}
        for file, content in contents.items():
            file.write_bytes(content)
            sync(file)
        save_calibration(results, calibration, scoring.constants)
