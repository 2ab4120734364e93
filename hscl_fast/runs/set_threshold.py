"""Gives an evaluation another decision threshold, without scoring any image again."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from rich.console import Console

from hscl_fast.config.sections import Config
from hscl_fast.console import silent
from hscl_fast.data.open import open_split
from hscl_fast.data.originals import originals_of
from hscl_fast.data.paths import at_home
from hscl_fast.data.places import moved_to
from hscl_fast.data.split.record import read_record
from hscl_fast.data.split.split import Split
from hscl_fast.device import resolve_device
from hscl_fast.errors import UsageError
from hscl_fast.evaluation.decisions import decide
from hscl_fast.evaluation.fitted_threshold import FittedThreshold
from hscl_fast.evaluation.report.heat import heat_of
from hscl_fast.evaluation.report.scored import RankedImages, ScoredImages
from hscl_fast.evaluation.summary import Summary
from hscl_fast.evaluation.suspects import Suspects
from hscl_fast.evaluation.threshold import choose_threshold, require_fittable, share_intervals
from hscl_fast.runs.calibration import (
    Calibration,
    command_again,
    load_calibration,
    load_scorer,
    require_evaluation,
    save_calibration,
)
from hscl_fast.runs.checkpoint import load_checkpoint
from hscl_fast.runs.directory import Results, RunDirectory
from hscl_fast.runs.kept_scores import KeptScores, load_kept_scores
from hscl_fast.runs.lock import RunLock
from hscl_fast.runs.read_results import read_summary
from hscl_fast.runs.run import Run
from hscl_fast.runs.suspects import read_suspects, suspects_csv
from hscl_fast.runs.suspects_page import suspects_page
from hscl_fast.runs.threshold_options import new_rule
from hscl_fast.runs.write_results import are_whole, writing_results


def set_threshold(
    path: str | Path,
    *,
    threshold: float | None = None,
    max_false_alarms: float | None = None,
    contamination: float | None = None,
    best: bool = False,
    evaluation: str | None = None,
    root: str | None = None,
    console: Console | None = None,
) -> Run:
    """Change the threshold of an evaluation, and with it all decisions, from the scores that it has kept.

    Rewrites the calibration, ``summary.json``, ``scores.csv``, ``suspects.csv`` and the report. All of them are on the
    disk before the first takes the place of an old one. Without any of the first four nothing is written, and the
    results are returned as they are.

    Parameters
    ----------
    path
        The run directory.
    threshold, max_false_alarms, contamination
        As ``evaluate.threshold``, ``evaluate.max_false_alarms`` and ``evaluate.contamination``; the last None: as
        trained.
    best
        Fit it by balanced accuracy on the held-out labelled images.
    evaluation
        The name of an evaluation; None: the run's own.
    root
        Folder of the data, if it has moved: see :func:`hscl_fast.data.places.moved_to`; the report shows its images.
    console
        Console for progress; None shows nothing.

    Raises
    ------
    UsageError
        It is not an evaluated run, options exclude each other, the data has changed or is not there, or a file cannot
        be written. The results are as they were.
    """
    directory = RunDirectory(at_home(path))
    console = silent() if console is None else console
    config = directory.load_config()
    rule = new_rule(config.evaluate, threshold, max_false_alarms, contamination, best=best)
    results = require_evaluation(directory, evaluation)
    again = command_again(directory, evaluation)
    if rule is None:
        return Run(directory, config, read_summary(results), results)
    with RunLock(directory.path) as lock:
        lock.acquire()
        directory.require_no_way_out()
        calibration, constants = load_calibration(results, again)
        summary = _current_summary(directory, results, calibration, again)
        kept = load_kept_scores(results, command_again(directory, evaluation, overwrite=True))
        require_fittable(rule, int((~kept.fitted_to.held_out_abnormal).sum()), len(kept.fitted_to.unlabelled))
        fitted = choose_threshold(rule, kept.fitted_to)
        if root is not None:
            config = replace(config, data=moved_to(config.data, read_record(directory.split).kind, root))
        split = _open(directory, config, console)
        if len(kept.test) != len(split.test.names):
            raise UsageError(
                f"{results.path} keeps {len(kept.test):,} test scores, but the data has {len(split.test.names):,} test "
                f"images. Run {again} again."
            )
        used = replace(rule, scoring=config.evaluate.scoring if results == directory else summary.scoring)
        config = replace(config, evaluate=replace(used, checkpoint=calibration.checkpoint))
        summary = _at_threshold(summary, kept, split, fitted)
        originals = originals_of(config.data, split.record.kind, split.decoding)
        more, ranked = {}, None
        if summary.suspects is not None:
            suspects = Suspects(summary.suspects.ranking, read_suspects(results)).at_threshold(fitted.value)
            more[results.suspects_page] = suspects_page(suspects, split, config.data, directory.path)
            more[results.suspects] = suspects_csv(suspects).encode()
            ranked = RankedImages(suspects, split.training.images, split.training_names, originals)
        test = ScoredImages(split.test, split.class_names, kept.test.numpy(), originals)
        # The heat maps of the report's pictures are those of the score as it is.
        scoring, _ = load_scorer(directory, config, resolve_device(config.runtime.device), evaluation)
        remarks, duplicates, heat = split.remarks, split.duplicates, heat_of(scoring)
        try:
            with writing_results(results, directory, config, summary, test, remarks, duplicates, more, ranked, heat):
                save_calibration(results, calibration.at_threshold(fitted), constants, kept)
        except OSError as error:
            raise UsageError(
                f"The results in {results.path} cannot be written: {error.strerror or error}. Free some space or make "
                "the folder writable, then change the threshold again."
            ) from error
    return Run(directory, config, summary, results)


def _current_summary(directory: RunDirectory, results: Results, calibration: Calibration, again: str) -> Summary:
    """Return the summary of results that are whole and of the weights as they are."""
    summary = read_summary(results)
    if not are_whole(results, calibration):
        raise UsageError(f"The results in {results.path} are not complete. Run {again} first.")
    if load_checkpoint(directory.checkpoint(calibration.checkpoint)).info.get("step") != calibration.step:
        raise UsageError(f"{directory.path} was trained on after its evaluation. Run {again} first.")
    return summary


def _open(directory: RunDirectory, config: Config, console: Console) -> Split:
    """Open the data of the run, whose images the report shows."""
    try:
        with console.status("opening the data, whose images the report shows"):
            split = open_split(directory.recorded_data(config))
    except UsageError as error:
        message = str(error).replace("--data.root", "--root")
        raise UsageError(
            f"The threshold stays as it is, because the report, which shows images of the data, cannot be written "
            f"again. {message}"
        ) from error
    return replace(split, remarks=(*split.remarks, *directory.remarks))


def _at_threshold(summary: Summary, kept: KeptScores, split: Split, fitted: FittedThreshold) -> Summary:
    """Return the summary with another threshold and its decisions."""
    scores, abnormal = kept.test.numpy(), split.test.abnormal
    intervals = share_intervals(scores, abnormal, fitted)
    return replace(
        summary,
        threshold=fitted.value,
        threshold_source=fitted.source,
        threshold_interval=fitted.interval,
        threshold_caution=fitted.caution,
        decisions=decide(scores, abnormal, fitted.value),
        recall_interval=intervals.recall_abnormal,
        false_alarm_interval=intervals.false_alarm_rate,
    )
