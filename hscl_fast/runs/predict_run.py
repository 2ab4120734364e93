"""Scores new images with a trained run."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

import numpy as np
from rich.console import Console

from hscl_fast.atomic import write_text
from hscl_fast.console import silent
from hscl_fast.data.bad_images import BadImages
from hscl_fast.data.decode import ImageFiles, find_bad_files
from hscl_fast.data.find import find_images
from hscl_fast.data.types import LazyImages
from hscl_fast.device import resolve_device
from hscl_fast.errors import UsageError
from hscl_fast.evaluation.scores_csv import scores_csv
from hscl_fast.progress import image_progress
from hscl_fast.runs.backends import prepare_backends
from hscl_fast.runs.calibration import Calibration, load_calibrated
from hscl_fast.runs.directory import RunDirectory


class Prediction(NamedTuple):
    """How many images were scored, in how many seconds, how many were called abnormal, and by which calibration."""

    images: int
    seconds: float
    abnormal: int
    calibration: Calibration


def predict_run(
    path: str | Path,
    files: Sequence[str | Path],
    out: str | Path,
    *,
    device: str | None = None,
    evaluation: str | None = None,
    overwrite: bool = False,
    console: Console | None = None,
) -> Prediction:
    """Score image files and folders of images, and write ``path, anomaly_score, decision`` as a CSV.

    No more than two batches of images are in memory at a time.

    Parameters
    ----------
    path
        The directory of a trained and evaluated run.
    files
        Files of any size and colour mode, and folders, searched recursively.
    out
        The CSV file, written atomically after every image was scored.
    device
        As ``runtime.device``; None: as trained.
    evaluation
        The name of an evaluation in ``RUN/evaluations``, whose score and threshold are used; None: the run's own.
    overwrite
        Whether an existing file may be replaced.
    console
        Console for progress; None shows nothing.

    Raises
    ------
    UsageError
        A file is not an image, a path does not exist, nothing was found, ``out`` exists, or the run is not usable.
    """
    directory, out = RunDirectory(Path(path)), Path(out)
    config = directory.load_config()
    if device is not None:
        config = replace(config, runtime=replace(config.runtime, device=device))
    if out.exists() and not overwrite:
        raise UsageError(f"--out {out} already exists. Give another file, or add --overwrite to replace it.")
    if not out.parent.is_dir():
        raise UsageError(f"--out {out}: the folder {out.parent} does not exist. Create it, or give another file.")
    found = _collect([Path(file) for file in files])
    prepare_backends(config.runtime)
    scoring, calibration = load_calibrated(directory, config, resolve_device(config.runtime.device), evaluation)
    size = calibration.image_size
    images = LazyImages(ImageFiles(tuple(found), size), np.arange(len(found)), size)
    started = time.perf_counter()
    try:
        with image_progress(silent() if console is None else console, "scoring", len(found)) as advance:
            scores = scoring.score(images, advance)
    except BadImages as error:
        raise BadImages(find_bad_files(found, size) or error.files) from None  # all of them, not those of one batch
    try:
        write_text(out, scores_csv([str(file) for file in found], scores, calibration.threshold))
    except OSError as error:
        raise UsageError(f"--out {out} cannot be written: {error}. Give a file that you may write.") from error
    abnormal = int((scores < calibration.threshold).sum())
    return Prediction(len(found), time.perf_counter() - started, abnormal, calibration)


def _collect(paths: Sequence[Path]) -> list[Path]:
    files: list[Path] = []
    for path in paths:
        if not path.exists():
            raise UsageError(f"{path} does not exist. Give image files, or folders that hold images.")
        found = find_images(path) if path.is_dir() else [path]
        if not found:
            raise UsageError(f"The folder {path} holds no image files. Give image files, or folders that hold images.")
        files += found
    return list(dict.fromkeys(files))  # a file that is named twice is scored once
