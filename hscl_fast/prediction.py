"""Scoring new images with a trained run."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from hscl_fast.atomic import write_text
from hscl_fast.config import Config
from hscl_fast.data import find_images, load_images
from hscl_fast.errors import UsageError
from hscl_fast.evaluation import load_calibrated, scores_csv
from hscl_fast.run_directory import RunDirectory


class Prediction(NamedTuple):
    """How many images were scored and how many of them were called abnormal."""

    images: int
    abnormal: int


def predict(
    run: RunDirectory, config: Config, paths: Sequence[Path], out: Path, *, overwrite: bool = False
) -> Prediction:
    """Score image files and folders of images, and write ``path, anomaly_score, decision`` as a CSV.

    Parameters
    ----------
    run, config
        A trained and evaluated run, and its configuration.
    paths
        Files of any size and colour mode, and folders, searched recursively.
    out
        The CSV; written in one step after every image was read.
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
    scores = scorer.score(load_images(files, image_size))
    try:
        write_text(out, scores_csv([str(file) for file in files], scores, threshold))
    except OSError as error:
        raise UsageError(f"--out {out} cannot be written: {error}. Give a file that you may write.") from error
    return Prediction(len(files), int((scores < threshold).sum()))


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
