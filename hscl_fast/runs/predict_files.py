"""Scoring new images with a trained run."""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
from rich.console import Console

from hscl_fast.atomic import write_text
from hscl_fast.config.sections import Config
from hscl_fast.data.bad_images import BadImages
from hscl_fast.data.decode import ImageFiles, find_bad_files, find_images
from hscl_fast.data.types import LazyImages
from hscl_fast.errors import UsageError
from hscl_fast.runs.evaluate_run import load_calibrated, scores_csv
from hscl_fast.progress import image_progress
from hscl_fast.runs.directory import RunDirectory


class Prediction(NamedTuple):
    """How many images were scored, in how many seconds, and how many of them were called abnormal."""

    images: int
    seconds: float
    abnormal: int


def predict(
    run: RunDirectory, config: Config, paths: Sequence[Path], out: Path, console: Console, *, overwrite: bool = False
) -> Prediction:
    """Score image files and folders of images, and write ``path, anomaly_score, decision`` as a CSV.

    No more than two batches of images are in memory at a time.

    Parameters
    ----------
    run, config
        A trained and evaluated run, and its configuration.
    paths
        Files of any size and colour mode, and folders, searched recursively.
    out
        The CSV; written in one step after every image was read.
    console
        Where progress is shown.
    overwrite
        Whether an existing file may be replaced.

    Raises
    ------
    UsageError
        A file is not an image, a path does not exist, nothing was found, ``out`` exists, or the run is not usable.
    """
    if out.exists() and not overwrite:
        raise UsageError(f"--out {out} exists already. Give another file, or add --overwrite to replace it.")
    if not out.parent.is_dir():
        raise UsageError(f"--out {out}: the folder {out.parent} does not exist. Make it, or give another file.")
    files = _collect(paths)
    scorer, threshold, image_size = load_calibrated(run, config)
    images = LazyImages(ImageFiles(tuple(files), image_size), np.arange(len(files)), image_size)
    started = time.perf_counter()
    try:
        with image_progress(console, "scoring", len(files)) as advance:
            scores = scorer.score(images, advance)
    except BadImages as error:
        raise BadImages(find_bad_files(files, image_size) or error.files) from None  # all, not one batch's
    try:
        write_text(out, scores_csv([str(file) for file in files], scores, threshold))
    except OSError as error:
        raise UsageError(f"--out {out} cannot be written: {error}. Give a file that you may write.") from error
    return Prediction(len(files), time.perf_counter() - started, int((scores < threshold).sum()))


def _collect(paths: Sequence[Path]) -> list[Path]:
    files: list[Path] = []
    for path in paths:
        if not path.exists():
            raise UsageError(f"{path} does not exist. Give image files, or folders that hold images.")
        found = find_images(path) if path.is_dir() else [path]
        if not found:
            raise UsageError(f"The folder {path} holds no image files. Give image files, or folders that hold images.")
        files += found
    return list(dict.fromkeys(files))  # a file named twice is scored once
