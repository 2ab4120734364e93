"""Evaluates a trained run and writes scores, threshold, figures and report into its directory."""

from __future__ import annotations

import shlex
from dataclasses import replace
from pathlib import Path

import torch
from rich.console import Console

from hscl_fast.config.scores import AUTO
from hscl_fast.config.sections import CheckpointName, Config, EvaluateConfig
from hscl_fast.console import silent
from hscl_fast.data.loaders.choose import is_held_in_memory
from hscl_fast.data.open import in_memory, open_split
from hscl_fast.data.originals import originals_of
from hscl_fast.data.paths import at_home
from hscl_fast.data.places import moved_to
from hscl_fast.data.split.record import read_record
from hscl_fast.data.split.split import Split
from hscl_fast.device import resolve_device
from hscl_fast.errors import UsageError
from hscl_fast.evaluation.candidates import LEAST_HELD_OUT, all_scores, candidate_scorings, suspicion_scoring
from hscl_fast.evaluation.evaluate import AS_CONFIGURED, Evaluation, evaluate, evaluate_fixed
from hscl_fast.evaluation.report.heat import heat_of
from hscl_fast.evaluation.report.scored import RankedImages, ScoredImages
from hscl_fast.evaluation.summary import Summary
from hscl_fast.evaluation.threshold import require_fittable
from hscl_fast.runs.about import describe
from hscl_fast.runs.backends import prepare_backends
from hscl_fast.runs.calibration import Calibration, load_calibration, save_calibration
from hscl_fast.runs.checkpoint import load_checkpoint
from hscl_fast.runs.comparator_run import load_comparator
from hscl_fast.runs.directory import Results, RunDirectory
from hscl_fast.runs.evaluate_other import evaluate_other
from hscl_fast.runs.feature_cache import cached_features
from hscl_fast.runs.kept_scores import KeptScores
from hscl_fast.runs.lock import RunLock
from hscl_fast.runs.run import Run
from hscl_fast.runs.show import show_duplicates, show_remarks, show_slow_precision
from hscl_fast.runs.suspects import suspects_csv
from hscl_fast.runs.suspects_page import suspects_page
from hscl_fast.runs.threshold_options import new_rule
from hscl_fast.runs.trained import initial_network, load_scoring
from hscl_fast.runs.write_results import are_whole, summarise, writing_results
from hscl_fast.training.state import TrainingState

_BY_DEFAULT = f"by default: fewer than {LEAST_HELD_OUT} labelled images of either kind are held out to choose on"


def evaluate_run(
    path: str | Path,
    *,
    data: str | None = None,
    out: str | Path | None = None,
    name: str | None = None,
    scoring: str | None = None,
    checkpoint: CheckpointName | None = None,
    device: str | None = None,
    root: str | None = None,
    threshold: float | None = None,
    max_false_alarms: float | None = None,
    contamination: float | None = None,
    overwrite: bool = False,
    console: Console | None = None,
) -> Run:
    """Evaluate a trained run again.

    As it was trained, and without a name, the results replace the run's own where these are missing, damaged or older
    than the weights. Scored otherwise they go to ``RUN/evaluations/NAME``, so that what ``hscl predict`` says without
    ``--evaluation`` stays as it is.

    With ``data`` it is evaluated on other test images: see :func:`hscl_fast.runs.evaluate_other.evaluate_other`.

    Parameters
    ----------
    path
        The run directory.
    data, out
        Other test images, and the new folder for the results; both or neither.
    name
        Of the evaluation. None: the run's own, or ``SCORING-CHECKPOINT`` where one of these is not the run's. With
        ``data`` the evaluation whose score and threshold are used; None: the run's own.
    scoring, checkpoint, device
        As ``evaluate.scoring``, ``evaluate.checkpoint`` and ``runtime.device``; None: as trained.
    root
        Folder of the data, if it has moved: see :func:`hscl_fast.data.places.moved_to`; None: as trained. With ``data``
        the folder that the paths of a CSV file are relative to.
    threshold, max_false_alarms, contamination
        As ``evaluate.threshold``, ``evaluate.max_false_alarms`` and ``evaluate.contamination``; None: as trained. The
        threshold of results that are there changes without scoring again by
        :func:`hscl_fast.runs.set_threshold.set_threshold`.
    overwrite
        Replace results that are there and up to date, or those in ``out``.
    console
        Console for progress; None shows nothing.

    Raises
    ------
    UsageError
        It is not a trained run, its data has changed or is not there, the results are there already, or a file cannot
        be written.
    """
    directory = RunDirectory(at_home(path))
    console = silent() if console is None else console
    if scoring is not None:
        scoring = EvaluateConfig(scoring=scoring).scoring  # before anything is read
    if data is not None or out is not None:
        _require_threshold_of_run(threshold, max_false_alarms, contamination)
        other = _other_test(data, out, scoring, checkpoint)
        return evaluate_other(
            directory, *other, name=name, device=device, root=root, overwrite=overwrite, console=console
        )
    trained = directory.load_config()
    rule = new_rule(trained.evaluate, threshold, max_false_alarms, contamination) or trained.evaluate
    used = replace(
        rule,
        scoring=scoring or trained.evaluate.scoring,
        checkpoint=checkpoint or trained.evaluate.checkpoint,
    )
    config = replace(trained, evaluate=used)
    if device is not None:
        config = replace(config, runtime=replace(config.runtime, device=device))
    if root is not None:
        config = replace(config, data=moved_to(config.data, read_record(directory.split).kind, root))
    if name is None and (used.scoring, used.checkpoint) != (trained.evaluate.scoring, trained.evaluate.checkpoint):
        name = f"{used.scoring}-{used.checkpoint}"
    results = directory if name is None else directory.evaluation(name)
    with RunLock(directory.path) as lock:
        lock.acquire()
        directory.require_no_way_out()
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


def _other_test(
    data: str | None, out: str | Path | None, scoring: str | None, checkpoint: CheckpointName | None
) -> tuple[str, Path]:
    """Refuse options that do not go together with other test images."""
    if data is None or out is None:
        given, missing = ("--out", "--data, other test images") if data is None else ("--data", "--out, a new folder")
        raise UsageError(
            f"{given} needs {missing}. Give both, or leave {given} out to evaluate the run's own test set."
        )
    if scoring is not None or checkpoint is not None:
        option = "--scoring" if scoring is not None else "--checkpoint"
        raise UsageError(
            f"{option} does not go with --data, because a score is calibrated on the run's own data. Evaluate the run "
            f"with {option} first, and then give the name of that evaluation with --name."
        )
    return data, at_home(out)


def _require_threshold_of_run(threshold: float | None, share: float | None, contamination: float | None) -> None:
    """Refuse a threshold of its own for other test images, which are called abnormal as the run would call them."""
    given = {"--threshold": threshold, "--max_false_alarms": share, "--contamination": contamination}
    for option, value in given.items():
        if value is not None:
            raise UsageError(
                f"{option} does not go with --data, because other images are tested with the threshold that the run "
                "has. Change it first, with `hscl threshold RUN`, or leave the option out."
            )


def _require_stale(directory: RunDirectory, config: Config, results: Results) -> None:
    """Refuse to replace results that are whole and of the weights as they are."""
    if not results.summary.exists():
        return
    try:
        calibration, _ = load_calibration(results, "hscl eval")
        weights = load_checkpoint(directory.checkpoint(config.evaluate.checkpoint))
    except UsageError:
        return  # damaged, which another evaluation fixes, or about to be reported
    if not are_whole(results, calibration):
        return  # an evaluation that was stopped while it wrote them
    if calibration.step == weights.info.get("step"):
        raise UsageError(
            f"{results.summary} already exists and is up to date. Replace it with --overwrite, or give another --name. "
            "The threshold alone changes with `hscl threshold`."
        )


def evaluate_trained(
    results: Results, directory: RunDirectory, config: Config, split: Split, device: torch.device, console: Console
) -> Summary:
    """Score the test images of a run and write the results: see :func:`evaluate_run`.

    Writes ``scores.csv``, ``suspects.csv``, ``suspects.html``, ``summary.json``, ``report.html`` and the calibration
    that ``hscl predict`` uses. All of them are on the disk before the first takes the place of an old one.

    Test labels affect neither the threshold nor the choice of the checkpoint.
    """
    require_fittable(config.evaluate, split.counts.held_out_normal, split.counts.unlabelled)
    found, state = (_evaluate_hscl if config.method.is_hscl else _evaluate_comparator)(
        directory, config, split, device, console
    )
    image_size = split.training.images.shape[1]
    originals = originals_of(config.data, split.record.kind, split.decoding)
    test = ScoredImages(split.test, split.class_names, found.anomaly_scores, originals)
    about = describe(directory, config, device, image_size, split.record.train.image, originals)
    summary = summarise(directory, config, split.class_names[split.normal_class], split.counts, state, found, about)
    calibration = Calibration(
        score_direction=summary.score_direction,
        threshold=summary.threshold,
        threshold_source=summary.threshold_source,
        threshold_interval=None if summary.threshold_interval is None else list(summary.threshold_interval),
        threshold_caution=summary.threshold_caution,
        scoring=found.scoring.name,
        checkpoint=config.evaluate.checkpoint,
        step=summary.step,
        image_size=image_size,
    )
    ranked = None
    if found.suspects is not None:
        ranked = RankedImages(found.suspects, split.training.images, split.training_names, originals)
    kept = None
    if found.threshold_scores is not None:
        kept = KeptScores(found.threshold_scores, torch.from_numpy(found.anomaly_scores))
    again = "evaluate again"
    if results == directory:
        again = f"run `hscl eval {shlex.quote(str(directory.path))}`"
    try:
        results.path.mkdir(parents=True, exist_ok=True)
        more = {}
        if found.suspects is not None:
            more[results.suspects_page] = suspects_page(found.suspects, split, config.data, directory.path)
            more[results.suspects] = suspects_csv(found.suspects).encode()
        remarks, duplicates, heat = split.remarks, split.duplicates, heat_of(found.scoring)
        with writing_results(results, directory, config, summary, test, remarks, duplicates, more, ranked, heat):
            save_calibration(results, calibration, found.scoring.constants, kept)
    except OSError as error:
        raise UsageError(
            f"The results in {results.path} cannot be written: {error.strerror or error}. Free some space or make the "
            f"folder writable, then {again}."
        ) from error
    return summary


def _evaluate_comparator(
    directory: RunDirectory, config: Config, split: Split, device: torch.device, console: Console
) -> tuple[Evaluation, TrainingState]:
    scorer, state = load_comparator(directory, config, split.training.images.shape[1], device)
    return evaluate_fixed(scorer, split, console, seed=config.data.seed, rule=config.evaluate), state


def _evaluate_hscl(
    directory: RunDirectory, config: Config, split: Split, device: torch.device, console: Console
) -> tuple[Evaluation, TrainingState]:
    candidates = candidate_scorings(config, split.training.roles, split.held_out.roles)
    suspicion = suspicion_scoring(config, split.training.roles) or candidates[0]
    weighted = ("paper",) if config.objective.lambda_prototype > 0 else ()  # for the weights of the unlabelled images
    every = all_scores((*candidates, suspicion, *weighted))
    used = replace(config, evaluate=replace(config.evaluate, scoring=every))
    scoring, state = load_scoring(directory, used, split.training.images.shape[1], device)
    source = _BY_DEFAULT if config.evaluate.scoring == AUTO else AS_CONFIGURED
    cached = None
    if config.augment.cached_views is not None:
        cached = cached_features(directory, config, split, scoring.network, scoring.execution, console)
    found = evaluate(
        scoring,
        split,
        console,
        seed=config.data.seed,
        candidates=candidates,
        scoring_source=source,
        rule=config.evaluate,
        suspicion=suspicion,
        initial=initial_network(config, scoring.network, device),
        cached=cached,
    )
    return found, state
