"""Evaluates a trained run on other test images, with the threshold that it has."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import torch
from rich.console import Console

from hscl_fast.config.sections import Config, DataConfig
from hscl_fast.console import warn
from hscl_fast.data.bad_images import BadImages
from hscl_fast.data.decode import ImageFiles, find_bad_files
from hscl_fast.data.kinds import kind_of
from hscl_fast.data.originals import originals_of
from hscl_fast.data.other_test import OtherTest, open_other_test
from hscl_fast.data.places import absolute_places
from hscl_fast.data.split.record import SplitRecord, read_record
from hscl_fast.data.split.split import count_images
from hscl_fast.data.types import LazyImages, Remark
from hscl_fast.device import resolve_device
from hscl_fast.errors import UsageError
from hscl_fast.evaluation.baselines.registry import detectors_for, left_out
from hscl_fast.evaluation.evaluate import Evaluation, evaluate_calibrated
from hscl_fast.evaluation.report.heat import heat_of
from hscl_fast.evaluation.report.scored import ScoredImages
from hscl_fast.method.scoring.image_scorer import ImageScorer
from hscl_fast.runs.about import describe
from hscl_fast.runs.backends import prepare_backends
from hscl_fast.runs.calibration import Calibration, load_scorer
from hscl_fast.runs.checkpoint import load_checkpoint
from hscl_fast.runs.directory import RunDirectory
from hscl_fast.runs.evaluation_folder import EvaluationFolder
from hscl_fast.runs.run import Run
from hscl_fast.runs.show import show_duplicates, show_remarks, show_slow_precision
from hscl_fast.runs.trained import read_state
from hscl_fast.runs.write_results import summarise, writing_results

# How image files are searched for and decoded.
_AS_TRAINED = ("exclude", "follow_links", "bit_depth", "float_white", "max_megapixels")
_NO_BASELINES = "Left out: they would have to be trained on the training images, and nothing is trained here."


def evaluate_other(
    directory: RunDirectory,
    data: str,
    out: Path,
    *,
    name: str | None,
    device: str | None,
    root: str | None,
    overwrite: bool,
    console: Console,
) -> Run:
    """Evaluate a run on other test images, and write scores, summary and report into a folder of their own.

    Score and threshold are those of an evaluation of the run. Nothing is fitted on the new images, and nothing is
    written into the run.

    Parameters
    ----------
    directory
        The run.
    data, root
        A folder, CSV file, ``.npz`` or ``.beton`` of the user's, and the folder of a CSV file's paths.
    out
        The new folder.
    name
        Of the evaluation whose score and threshold are used; None: the run's own.
    device
        As ``runtime.device``; None: as trained.
    overwrite
        Whether the results of an earlier call in ``out`` may be replaced.
    console
        Console for progress and warnings.

    Raises
    ------
    UsageError
        It is not a trained and evaluated run, the images cannot be used, or ``out`` exists or cannot be written.
    """
    config = directory.load_config()
    if device is not None:
        config = replace(config, runtime=replace(config.runtime, device=device))
    folder = EvaluationFolder(out)
    folder.require_free(directory, overwrite=overwrite)
    record = read_record(directory.split)
    prepare_backends(config.runtime)
    where = resolve_device(config.runtime.device)
    scoring, calibration = load_scorer(directory, config, where, name)
    as_trained = {option: getattr(config.data, option) for option in _AS_TRAINED}
    given = DataConfig(name=data, root=root, image_size=calibration.image_size, **as_trained)
    place = absolute_places(given)
    other = _open(place, config.data, record)
    _show(other, config, where, console)
    found = _evaluate(scoring, calibration, other, console)
    if found.detection.auroc is not None:
        detectors = detectors_for(pretrained=config.model.starts_trained)
        found = replace(found, baselines=left_out(detectors, _NO_BASELINES))
    used = replace(config.evaluate, scoring=calibration.scoring, checkpoint=calibration.checkpoint)
    tested = replace(config, data=replace(config.data, name=place.name), evaluate=used)
    state = read_state(load_checkpoint(directory.checkpoint(used.checkpoint)).info, directory)
    counts = count_images(record, other.images.abnormal)
    originals = originals_of(place, kind_of(place), other.decoding)
    about = describe(directory, config, where, calibration.image_size, other.images.names, originals)
    summary = summarise(directory, tested, other.class_names[other.normal_class], counts, state, found, about)
    source = Remark(f"the run {directory.path.absolute()}, trained on {config.data.name}, tested on {place.name}")
    scored = ScoredImages(other.images, other.class_names, found.anomaly_scores, originals)
    shown = replace(config, evaluate=used)
    remarks, heat = (source, *other.remarks), heat_of(scoring)
    results = writing_results(folder, directory, shown, summary, scored, remarks, other.duplicates, heat=heat)
    with folder.writing(directory), results:
        pass
    return Run(directory, config, summary, folder)


def _open(place: DataConfig, trained: DataConfig, record: SplitRecord) -> OtherTest:
    """Open the images; an error names the options of ``hscl eval``."""
    try:
        return open_other_test(place, trained, record)
    except BadImages:
        raise
    except UsageError as error:
        message = str(error).replace("--data.name", "--data").replace("--data.root", "--root")
        raise UsageError(message) from error


def _show(other: OtherTest, config: Config, device: torch.device, console: Console) -> None:
    show_remarks(other.remarks, console)
    show_duplicates(other.duplicates, console, "report.html lists them")
    show_slow_precision(device, config.runtime.precision, console)
    if other.images.abnormal.all() or not other.images.abnormal.any():
        warn(console, "the test set lacks normal or abnormal images: no AUROC can be computed")


def _evaluate(scoring: ImageScorer, calibration: Calibration, other: OtherTest, console: Console) -> Evaluation:
    threshold = calibration.fitted_threshold
    try:
        return evaluate_calibrated(scoring, other.images, other.class_names, other.normal_class, threshold, console)
    except BadImages as error:
        images = other.images.images
        if isinstance(images, LazyImages) and isinstance(images.reader, ImageFiles):
            # All of them, not those of one batch.
            raise BadImages(find_bad_files(images.reader.paths, images.reader.decoding) or error.files) from None
        raise
