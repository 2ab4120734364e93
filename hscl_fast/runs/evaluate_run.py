"""From a trained run to its results: scores, threshold, figures, comparison and report."""

from __future__ import annotations

import csv
import io
import time
from collections.abc import Sequence
from dataclasses import replace
from typing import Any, get_args

import numpy as np
import torch
from numpy.typing import NDArray
from rich.console import Console

from hscl_fast.atomic import write_json, write_text
from hscl_fast.evaluation.baselines import classic_baselines, left_out
from hscl_fast.runs.checkpoint import load_checkpoint, save_checkpoint
from hscl_fast.compiling import resolve_mode
from hscl_fast.config.sections import CheckpointName, Config, Scoring
from hscl_fast.config.parsing import to_dict
from hscl_fast.data.split.split import Split
from hscl_fast.data.types import TestImages, take
from hscl_fast.device import resolve_device, resolve_precision
from hscl_fast.errors import UsageError
from hscl_fast.evaluation.metrics import decision_metrics, detection_metrics, fit_threshold
from hscl_fast.method.network import Detector, build_detector
from hscl_fast.progress import image_progress
from hscl_fast.evaluation.report.page import write_report
from hscl_fast.runs.directory import RunDirectory
from hscl_fast.method.scoring import Scorer

Scores = NDArray[np.float64]

_TRAINING_QUANTILE = 0.05
_NOT_IN_MEMORY = (
    "Left out: they need all images in memory, where this run does not hold them (see --runtime.loader and "
    "--runtime.resident_gib)."
)


def evaluate_run(run: RunDirectory, config: Config, split: Split, console: Console) -> dict[str, Any]:
    """Score the test images of a run and write its results.

    Writes ``scores.csv``, ``summary.json``, ``report.html`` and the calibration that ``hscl predict`` uses, each in one
    step. No test label touches threshold or choice of checkpoint.

    Returns
    -------
    dict
        What ``summary.json`` holds.

    Raises
    ------
    UsageError
        The run has no usable checkpoint, or a file cannot be written.
    """
    scorer, info = load_model(run, config, split.training.images.shape[1])
    known = take(split.training.images, split.training.roles >= 0)
    with image_progress(console, "calibrating", len(known)) as advance:
        scorer = scorer.calibrate(known, advance)
    threshold, threshold_source = _fit_threshold(scorer, split, console)
    with image_progress(console, "scoring", len(split.test.images)) as advance:
        started = time.perf_counter()
        scores = scorer.score(split.test.images, advance)
        seconds = time.perf_counter() - started
    test = split.test
    summary: dict[str, Any] = {
        "data": config.data.name,
        "normal_class": split.class_names[split.normal_class],
        "checkpoint": config.runtime.checkpoint,
        "step": info["step"],
        "scoring": config.runtime.scoring,
        "score_direction": "normality scores: higher is more normal; anomaly_score = threshold - score",
        **detection_metrics(scores, test.abnormal, test.classes, split.class_names, split.normal_class),
        "threshold": threshold,
        "threshold_source": threshold_source,
        "decisions": decision_metrics(scores, test.abnormal, threshold),
        "held_out_auroc_best": info["best_auroc"],
        "train_seconds": round(info["seconds"], 3),
        "views_per_second": _views_per_second(run),
        "score_images_per_second": round(len(scores) / seconds, 1) if len(scores) else None,
        "counts": split.counts,
    }
    with console.status("comparing with scikit-learn"):
        summary["baselines"] = _compare(split, config.data.seed)
    _write_results(run, config, split, scorer, scores, summary)
    return summary


def load_model(run: RunDirectory, config: Config, image_size: int) -> tuple[Scorer, dict[str, Any]]:
    """Return a run's detector as an uncalibrated scorer, and the checkpoint's info."""
    checkpoint = load_checkpoint(run.checkpoint(config.runtime.checkpoint))
    device = resolve_device(config.runtime.device)
    model = build_detector(config.model, image_size, rotation_head=config.objective.shift_loss, seed=0)
    _load_weights(model, checkpoint.weights, run)
    model.to(device).to(memory_format=torch.channels_last)
    model.eval()
    scorer = Scorer(
        model,
        config.runtime.scoring,
        config.runtime.eval_batch_size,
        resolve_precision(config.runtime.precision, device),
        config.augment,
        compile=resolve_mode(config.runtime.compile, device),
    )
    return scorer, checkpoint.info


def load_calibrated(run: RunDirectory, config: Config) -> tuple[Scorer, float, int]:
    """Return a run's scorer as last evaluated, its threshold and its image size, without the training images.

    Raises
    ------
    UsageError
        The run was not evaluated since it was trained, or a file is damaged.
    """
    calibration = load_checkpoint(run.calibration)
    try:
        image_size, threshold = int(calibration.info["image_size"]), float(calibration.info["threshold"])
        step, used = calibration.info["step"], {name: calibration.info[name] for name in ("scoring", "checkpoint")}
    except (KeyError, TypeError, ValueError) as error:
        raise UsageError(f"{run.calibration} lacks or garbles {error}. Run `hscl eval {run.path}` again.") from error
    if used["scoring"] not in get_args(Scoring) or used["checkpoint"] not in get_args(CheckpointName):
        raise UsageError(f"{run.calibration} has the unknown scoring {used}. Run `hscl eval {run.path}` again.")
    config = replace(config, runtime=replace(config.runtime, **used))
    scorer, info = load_model(run, config, image_size)
    if info["step"] != step:
        raise UsageError(
            f"{run.path} was trained on after its last evaluation, so its threshold is out of date. Run "
            f"`hscl eval {run.path}` first."
        )
    device = scorer.model.prototypes.device
    constants = {name: tensor.to(device) for name, tensor in calibration.weights.items()}
    return replace(scorer, constants=constants), threshold, image_size


def scores_csv(names: Sequence[str], scores: Scores, threshold: float, **columns: Sequence[object]) -> str:
    """Return a CSV table: path, anomaly_score (higher = more anomalous, above 0 = abnormal), decision and more."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["path", "anomaly_score", "decision", *columns])
    for name, score, *rest in zip(names, scores, *columns.values(), strict=True):
        decision = "normal" if score >= threshold else "abnormal"
        # A file name that is not UTF-8 is shown escaped rather than stop the table.
        shown = name.encode("utf-8", "backslashreplace").decode("utf-8")
        writer.writerow([shown, f"{threshold - score:.8g}", decision, *rest])
    return text.getvalue()


def _load_weights(model: Detector, weights: dict[str, torch.Tensor], run: RunDirectory) -> None:
    try:
        model.load_state_dict(weights)
    except RuntimeError as error:
        raise UsageError(
            f"The weights in {run.path} do not fit its config.yaml: {str(error).splitlines()[-1].strip()}. Restore the "
            "config.yaml that was saved with the run."
        ) from error


def _fit_threshold(scorer: Scorer, split: Split, console: Console) -> tuple[float, str]:
    """Fit the decision threshold on held-out labelled images, or without any on the training images' scores."""
    held_out = split.held_out
    images = held_out.images if len(held_out.roles) else take(split.training.images, split.training.roles >= 0)
    with image_progress(console, "fitting the threshold", len(images)) as advance:
        scores = scorer.score(images, advance)
    if len(held_out.roles):
        return fit_threshold(scores, held_out.roles == -1), f"{len(held_out.roles)} held-out labelled images"
    source = f"{_TRAINING_QUANTILE:.0%} quantile of the training scores (no labelled images were held out)"
    return float(np.quantile(scores, _TRAINING_QUANTILE)), source


def _views_per_second(run: RunDirectory) -> float | None:
    """The median over the log rows, which the first steps' warm-up does not move."""
    rates = [row["views_per_second"] for row in run.read_metrics() if "views_per_second" in row]
    return round(float(np.median(rates)), 1) if rates else None


def _compare(split: Split, seed: int) -> dict[str, Any]:
    test = split.test
    if test.abnormal.all() or not test.abnormal.any():
        return {}  # nothing to tell apart
    training = split.training.images
    if not isinstance(training, np.ndarray) or not isinstance(test.images, np.ndarray):
        return left_out(_NOT_IN_MEMORY)
    return classic_baselines(
        training,
        split.training.roles,
        test.images,
        test.abnormal,
        test.classes,
        split.class_names,
        split.normal_class,
        seed=seed % 2**32,
    )


def _write_results(
    run: RunDirectory,
    config: Config,
    split: Split,
    scorer: Scorer,
    scores: Scores,
    summary: dict[str, Any],
) -> None:
    threshold, test = summary["threshold"], split.test
    classes = [split.class_names[label] for label in test.classes]
    try:
        save_checkpoint(
            run.calibration,
            weights=scorer.constants,
            info={
                **{name: summary[name] for name in ("threshold", "threshold_source", "scoring", "checkpoint", "step")},
                "image_size": split.training.images.shape[1],
            },
        )
        write_text(run.scores, scores_csv(test.names, scores, threshold, **{"class": classes}))
        write_json(run.summary, summary)
        write_report(
            run.report,
            title=_title(config, split, test),
            counts=split.counts,
            config=to_dict(config),
            summary=summary,
            history=run.read_metrics(),
            scores=scores,
            threshold=threshold,
            test_images=test.images,
            abnormal=test.abnormal,
            classes=test.classes,
            class_names=split.class_names,
            names=test.names,
        )
    except OSError as error:
        raise UsageError(
            f"The results of {run.path} cannot be written: {error.strerror or error}. Free some space, then run "
            f"`hscl eval {run.path}`."
        ) from error


def _title(config: Config, split: Split, test: TestImages) -> str:
    return (
        f"{config.data.name}: {split.class_names[split.normal_class]} against the rest, {len(test.names):,} test images"
    )
